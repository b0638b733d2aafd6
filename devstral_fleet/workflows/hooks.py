"""A site's own programs around a host's deploy: hooks/pre-deploy, post-deploy and on-failure beside the inventory.

They run on the controller, as whoever deploys, with the plan in their environment and without a secret.
"""

import difflib
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from devstral_fleet import playbook
from devstral_fleet.errors import ConfigurationError, FleetError, HookError
from devstral_fleet.findings import Finding
from devstral_fleet.redact import redact
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.shell import end_with_the_controller
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import inventory_directory

HookName = Literal["pre-deploy", "post-deploy", "on-failure"]
NAMES: tuple[HookName, ...] = ("pre-deploy", "post-deploy", "on-failure")
FOLDER = "hooks"
DEADLINE_S = 300.0
SHOWN_LINES = 50
TAIL_BYTES = 64 * 1024


@dataclass(frozen=True)
class Hooks:
    """The hooks of one site, for one run.

    `programs`: those that are there. `inventory`: the one in use, so that a hook can ask `invoke` about it.
    """

    programs: Mapping[str, Path]
    directory: RunDirectory
    inventory: Path
    deadline_s: float = DEADLINE_S

    @contextmanager
    def around(self, host: Host) -> Iterator[None]:
        """Run on-failure when the context fails or is interrupted, after whatever brought the host back."""
        try:
            yield
        except (FleetError, KeyboardInterrupt) as error:
            if host.record.outcome != "untouched":
                self.tell("on-failure", host, reason=str(error) or "interrupted")
            raise

    def tell(self, name: HookName, host: Host, reason: str = "") -> None:
        """Run a hook whose failure changes nothing any more: it becomes a finding that warns."""
        try:
            self.run(name, host, reason)
        except HookError as error:
            finding = Finding(
                check=f"hook-{name}", state="warn", summary=error.message, evidence=error.evidence, fix=error.fix
            )
            host.record.add("findings_after", [finding])

    def run(self, name: HookName, host: Host, reason: str = "") -> None:
        """Run one hook to its end and show what it said; nothing where the site has none of that name.

        Raises:
            HookError: it cannot be started, ended with another status than 0, or took longer than the deadline.
        """
        program = self.programs.get(name)
        if program is None:
            return
        with host.record.phase(name):
            log = self.directory.write_text(f"{host.name}-{name}.log", "")
            status = self._status(program, self._environment(name, host, reason), log)
            said = tail(log)
            for line in said:
                host.record.console.host(host.name, f"{name}: {line}")
            if status:
                raise HookError(
                    f"{host.name}: the hook {name} {status}",
                    fix=f"see what {program} does there; --no-hooks leaves it out",
                    evidence=said,
                    host=host.name,
                )

    def _status(self, program: Path, environment: Mapping[str, str], log: Path) -> str:
        """Run the program; '' where it ended well, else what became of it. One ended early leaves nothing."""
        try:
            with log.open("w") as output:
                process = subprocess.Popen(
                    [str(program)],
                    cwd=program.parent,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    text=True,
                    start_new_session=True,
                    preexec_fn=end_with_the_controller,
                )
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        try:
            status = process.wait(self.deadline_s)
        except subprocess.TimeoutExpired:
            return f"took longer than {self.deadline_s:.0f} s and was ended"
        finally:
            playbook.end(process)
        return f"ended with exit status {status}" if status else ""

    def _environment(self, name: HookName, host: Host, reason: str) -> dict[str, str]:
        """The controller's environment, and what is known of this host's deploy."""
        plan, known = host.plan, host.record.known
        plan_file = self.directory.write_text(f"plans/{host.name}.json", plan.model_dump_json(indent=2) + "\n")
        return {
            **os.environ,
            "FLEET_HOOK": name,
            "FLEET_HOST": host.name,
            "FLEET_ADDRESS": host.target.intent.connection.address,
            "FLEET_INVENTORY": str(self.inventory),
            "FLEET_RUN": self.directory.id,
            "FLEET_PLAN_FILE": str(plan_file),
            "FLEET_MODEL": plan.model,
            "FLEET_ENDPOINT": f"{plan.base_url}/v1",
            "FLEET_RELEASE": str(known.get("release", "")),
            "FLEET_PREVIOUS": str(known.get("previous_release", "")),
            "FLEET_OUTCOME": "" if name == "pre-deploy" else host.record.outcome,
            "FLEET_REASON": redact(reason),
        }


def find(inventory: Path) -> dict[str, Path]:
    """Find the hooks beside an inventory, each of them ready to run.

    Raises:
        ConfigurationError: one cannot be executed, or is spelled so that it would never run.
    """
    folder = inventory_directory(inventory) / FOLDER
    files = {path.name: path for path in sorted(folder.iterdir())} if folder.is_dir() else {}
    for name, path in files.items():
        if name in NAMES and not (path.is_file() and os.access(path, os.X_OK)):
            raise ConfigurationError(f"the hook {path} is not executable", fix=f"chmod +x {path}")
        if name not in NAMES and (near := difflib.get_close_matches(name, NAMES, n=1, cutoff=0.75)):
            raise ConfigurationError(f"{path} would never run", fix=f"mv {path} {path.with_name(near[0])}")
    return {name: files[name] for name in NAMES if name in files}


def tail(log: Path) -> tuple[str, ...]:
    """Return the last lines of what a hook said, free of what looks like a secret; the file keeps all of it."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        text = file.read().decode(errors="replace")
    return tuple(redact(text).splitlines()[-SHOWN_LINES:])
