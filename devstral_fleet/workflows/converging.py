"""Ansible's part of a verb on one host: converge, switch, confirm, stop. Each is one playbook run of its own."""

import getpass
import platform
from dataclasses import dataclass, field, replace
from pathlib import Path

from devstral_fleet import catalog as catalogs
from devstral_fleet import playbook, project, rolevars
from devstral_fleet.intent import HostIntent
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.playbook import PlaybookCommand, PlaybookEvent, PlaybookOutcome, TaskFinished, TaskStarted
from devstral_fleet.probes import converged as converged_probe
from devstral_fleet.probes import releases as releases_probe
from devstral_fleet.report.model import ChangeReport, TaskReport, slowest
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.weights import WeightPin
from devstral_fleet.workflows import at_hand, bringing, looking, planning, proving, starting, weights
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.peers import Peers
from devstral_fleet.workflows.planning import Target, requirements_path
from devstral_fleet.workflows.running import utc_now

Audit = dict[str, object]
UNCHANGED = PlaybookOutcome("deploy.yml", 0, {}, ())
"""Of a deploy that found nothing to do."""


@dataclass
class Converging:
    """Runs playbooks on one host for one run. `inventory` is the site's, `peers` the hosts that it may copy from."""

    host: Host
    directory: RunDirectory
    inventory: Path
    peers: Peers = field(default_factory=Peers)

    def deploy(self, release_id: str, return_to: str) -> PlaybookOutcome:
        """Build and install what is missing, write the release, arm the guard, serve it.

        Where nothing differs from what the last deploy left, no playbook runs.
        """
        with self.host.record.phase("compare"):
            differences = self._differences(release_id)
        if not differences:
            self.host.record.console.host(self.host.name, "as the last deploy left it: no playbook has to run")
            return UNCHANGED
        bringing.build_missing(self.host, self.directory, self.inventory)
        with self.host.record.phase("install"), bringing.image_source(self.host) as source:
            return self._play(
                "deploy.yml", self.host.plan, release_id, return_to=return_to, guarded=True, image_source=source
            )

    def bring(self) -> PlaybookOutcome:
        """Have the plan's image in the host's Docker engine; nothing that serves is touched."""
        bringing.build_missing(self.host, self.directory, self.inventory)
        with self.host.record.phase("image"), bringing.image_source(self.host) as source:
            return self._play("images.yml", self.host.plan, "none", image_source=source)

    def weights(self) -> str:
        """Have the model's files on the host, where they come from a hub and the site has pinned them.

        Returns:
            'there', 'complete' where they were brought now, '' where they come another way.
        """
        pin = self.pin()
        if pin is None:
            return ""
        if not weights.missing(self.host):
            self.peers.has(self.host.target)
            return "there"
        return self.peers.bring(self.host, pin, lambda: self._weights_alone(pin))

    def _weights_alone(self, pin: WeightPin) -> str:
        """Have the model's files without another host: from here, from the hub, or where somebody put them."""
        if models := self.host.target.intent.models:
            self.host.record.console.host(self.host.name, f"copies its files from {models} of this machine")
            with self.host.record.phase("weights"), at_hand.served(self.host, models) as copy:
                return weights.run(self.host, pin, "copy", copy)
        mode = weights.mode_of(self.host)
        if mode == "bring" and not weights.has_client(self.host):
            bringing.build_missing(self.host, self.directory, self.inventory)
            with self.host.record.phase("runtime"), bringing.image_source(self.host) as source:
                self._play("models.yml", self.host.plan, "none", image_source=source)
        with self.host.record.phase("weights"):
            return weights.run(self.host, pin, mode)

    def pin(self) -> WeightPin | None:
        """What the plan's files are pinned to; None where they are not, or come another way."""
        files = self.host.plan.files
        return planning.weight_pins(self.inventory).get(files.repository) if files.digest else None

    def preview(self, playbook_name: str, release_id: str, return_to: str = "") -> None:
        """Show what a playbook would change; nothing is changed."""
        record, guarded = self.host.record, playbook_name == "deploy.yml"
        if guarded and (pin := self.pin()) and weights.missing(self.host):
            record.console.host(self.host.name, weights.would_bring(self.host, pin))
        with record.phase("check"):
            outcome = self._play(
                playbook_name, self.host.plan, release_id, return_to=return_to, guarded=guarded, check=True
            )
        self.show_changes(outcome)

    def show_changes(self, outcome: PlaybookOutcome) -> None:
        """Say what a check has foreseen."""
        record = self.host.record
        for change in record.known["changes"]:
            record.console.host(self.host.name, f"would change: {change.task}")
            for line in change.diff.splitlines():
                record.console.say(line)
        record.console.host(self.host.name, f"{outcome.changed} tasks would change something")
        record.outcome = "checked"

    def serve(self, release_id: str, event: str, reason: str) -> None:
        """Serve a release that is on the host already, and wait until it is healthy by its own plan."""
        plan = releases_probe.read_plan(self.host.shell, self.host.layout, release_id)
        with self.host.record.phase("switch"):
            self._play("rollback.yml", plan, release_id, audit=self._audit(event, release_id, reason))
        with self.host.record.phase("start"):
            target = Target(self.host.target.intent, plan)
            proving.wait(replace(self.host, target=target))

    def confirm(self, release_id: str, event: str = "") -> None:
        """Mark the release that serves as proven, remember the one before, prune; `event` is for the audit log."""
        with self.host.record.phase("confirm"):
            audit = {**self._audit(event, release_id), **starting.entry(self.host)} if event else None
            self._play("confirm.yml", self.host.plan, release_id, audit=audit)

    def stop(self, reason: str) -> None:
        """Stop the engine and whatever would start it again."""
        with self.host.record.phase("stop"):
            serving = self.host.releases().serving
            self._play("stop.yml", self.host.plan, serving or "none", audit=self._audit("stop", serving, reason))

    def _audit(self, event: str, release_id: str, reason: str = "") -> Audit:
        return {
            "time": utc_now(),
            "event": event,
            "release": release_id,
            "run": self.directory.id,
            "who": f"{getpass.getuser()}@{platform.node()}",
            "reason": reason,
        }

    def _play(
        self,
        name: str,
        plan: DeploymentPlan,
        release_id: str,
        *,
        return_to: str = "",
        guarded: bool = False,
        check: bool = False,
        image_source: str = "",
        audit: Audit | None = None,
    ) -> PlaybookOutcome:
        variables = self._variables(
            plan, release_id, return_to=return_to, guarded=guarded, image_source=image_source, audit=audit
        )
        return self.play(name, variables, check=check)

    def play(self, name: str, variables: rolevars.RoleVariables, *, check: bool = False) -> PlaybookOutcome:
        """Run a playbook on the host with these role variables, remember its tasks; raise what failed."""
        folder = f"inventory/{self.host.name}/{name.removesuffix('.yml')}"  # several hosts write theirs at once
        for file, text in rolevars.inventory_files({self.host.name: variables}).items():
            self.directory.write_text(f"{folder}/{file}", text)
        inventories = (self.inventory, self.directory.path / folder / "hosts.json")
        command = PlaybookCommand(name, inventories, limit=(self.host.name,), check=check, diff=check)
        log = self.directory.path / f"{self.host.name}-{name}.jsonl"
        outcome = playbook.run(command, log=log, on_event=self._show)
        self._remember(outcome)
        outcome.raise_for_failure()
        return outcome

    def _variables(
        self,
        plan: DeploymentPlan,
        release_id: str,
        *,
        return_to: str = "",
        guarded: bool = False,
        image_source: str = "",
        audit: Audit | None = None,
    ) -> rolevars.RoleVariables:
        environment, intent = plan.engine_environment, self.host.target.intent
        return rolevars.role_variables(
            plan,
            release_id=release_id,
            run_id=self.directory.id,
            service_manager=self._service_manager(),
            requirements_path=str(requirements_path(environment.requirements)) if environment else "",
            supervisor_version=catalogs.load().runtimes.supervisor,
            python=intent.python,
            wheels=rolevars.SiteWheels(intent.wheels or "", is_on_host=intent.connection.kind == "local"),
            playbooks_digest=project.playbooks_digest(),
            previous_id=return_to,
            guarded=guarded,
            image_source=image_source,
            audit=audit,
        )

    def _differences(self, release_id: str) -> tuple[str, ...]:
        """Return what differs from what the last deploy of the release left; () where nothing is to do."""
        service, image = self.host.service(), self.host.plan.image
        if service.state != "running":
            return (f"the engine is {service.state}",)
        if image is not None and not self.host.docker().image_id:
            return (f"{image.reference} is not there",)
        role = self._variables(self.host.plan, release_id)["converged"]
        file, inputs = str(role["file"]), str(role["inputs"])
        return converged_probe.read(self.host.shell, self.host.target.intent.python, file, inputs, service.pid)

    def _service_manager(self) -> rolevars.ServiceManager:
        intent: HostIntent = self.host.target.intent
        facts = looking.seen_facts(self.host)
        return rolevars.manager_for(facts.process_1, facts.user, become=intent.connection.become)

    def _show(self, event: PlaybookEvent) -> None:
        if isinstance(event, TaskStarted):
            self.host.record.console.step(event.task)

    def _remember(self, outcome: PlaybookOutcome) -> None:
        known = self.host.record.known
        known["tasks"] = slowest((*known.get("tasks", ()), *map(_task_report, outcome.tasks)))
        changed = (ChangeReport(task=_name(task), diff=task.diff) for task in outcome.tasks if _changed(task))
        known["changes"] = (*known.get("changes", ()), *changed)


def _task_report(task: TaskFinished) -> TaskReport:
    return TaskReport(name=_name(task), seconds=task.duration_s, changed=_changed(task))


def _name(task: TaskFinished) -> str:
    return f"{task.role}: {task.task}" if task.role else task.task


def _changed(task: TaskFinished) -> bool:
    return task.state == "changed"
