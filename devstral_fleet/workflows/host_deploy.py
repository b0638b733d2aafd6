"""Deploy on one host, under its lock: look, converge, wait, prove, confirm; or the previous release again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from devstral_fleet.errors import FleetError
from devstral_fleet.lock import Hold
from devstral_fleet.releases import ReleaseDecision
from devstral_fleet.workflows import endpoint, looking, measuring, proving, provisioning, rebooting, starting
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.hooks import Hooks
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.interrupts import deferred

Turn = Callable[[bool], None]
"""Called once the host was looked at, with whether what serves will change; returns when its turn has come."""


@dataclass(frozen=True)
class Switches:
    """What the command line said about how to deploy."""

    check: bool = False
    lock_wait_s: int = 0
    keep_failed: bool = False
    bench: bool = True
    hooks: bool = True


def deploy_host(host: Host, converging: Converging, switches: Switches, turn: Turn, hooks: Hooks) -> None:
    """Take one host from what it is to a proven release; raise what stood in the way, after recovery.

    Raises:
        FleetError: with the previous release serving again, when there was one.
    """
    looking.require_real(host)
    message = f"deploy {host.plan.model}"
    with hooks.around(host), host.locked(converging.directory.id, message, switches.lock_wait_s) as held:
        decision, proven = look(converging, held)
        turn(decision.kind != "keep" or not proven)
        held.require()
        hooks.run("pre-deploy", host)
        converging.weights()
        back = decision.rollback_to
        attempt = Attempt(converging, held, back, proven=proven, keep_failed=switches.keep_failed)
        with attempt.recovering():
            outcome = converging.deploy(decision.release_id, back)
            proving.prove(host)
            starting.remember(host, outcome)
            if switches.bench:
                measuring.smoke_bench(host, converging.directory.id, converging.inventory)
            held.require()
        host.record.known.update(endpoint.report(host))
        unchanged = proven and not outcome.changed
        host.record.outcome = "unchanged" if unchanged else "deployed"
        if not unchanged:  # a proven release that was started again or repaired stands in the audit log too
            with deferred(host.record.console), attempt.recovering():
                converging.confirm(decision.release_id, "deploy")
        hooks.tell("post-deploy", host)


def look(converging: Converging, held: Hold) -> tuple[ReleaseDecision, bool]:
    """Require a host that is ready; return what to do, and whether that release was proven by an earlier run.

    A bare host is provisioned first, and rebooted where its packages ask for it.
    """
    host = converging.host
    with host.record.phase("look"):
        seen = looking.findings(host)
    if provisioning.helps(host, seen):
        provisioning.converge(converging, provisioning.plan(host))
        rebooting.where_needed(converging, held)
        with host.record.phase("look"):
            seen = looking.findings(host)
    decision = looking.decide(host, seen)
    host.record.console.host(host.name, decision.reason)
    return decision, decision.release_id == host.record.known["previous_release"]


@dataclass(frozen=True)
class Attempt:
    """One try to bring a host to a release, and what is done when it fails.

    `rollback_to`: the release to go back to, '' for none. `proven`: the tried release was proven by an earlier run, so
    that this one did not bring it. `keep_failed`: with nothing to go back to, leave it running.
    """

    converging: Converging
    held: Hold
    rollback_to: str
    proven: bool
    keep_failed: bool

    @property
    def host(self) -> Host:
        return self.converging.host

    @contextmanager
    def recovering(self) -> Iterator[None]:
        """Recover, undisturbed, from whatever ends the context too early; then let it go on.

        Where the way back fails too, its error goes on, with the first one's words; an interrupt stays an interrupt.
        """
        try:
            yield
        except BaseException as error:
            try:
                with deferred(self.host.record.console):
                    self._recover_or_leave(str(error) or "interrupted")
            except FleetError as second:
                if not isinstance(error, FleetError):
                    raise error from second
                second.evidence = (*second.evidence, f"this was on the way back from: {error}", *error.evidence)
                raise
            raise

    def _recover_or_leave(self, reason: str) -> None:
        """Recover; where that fails, leave the rest to the guard on the host, which acts when the lock falls silent."""
        try:
            self.recover(reason)
        except BaseException:
            self.held.leave()
            raise

    def recover(self, reason: str) -> None:
        """Leave the host as it was: the last proven release serves, or nothing does where nothing was proven.

        A release that was proven before and fails now is left alone: this run did not change it. So is a host whose
        lock is no longer ours: another run, or the guard on the host, has it now.
        """
        name, console = self.host.name, self.host.record.console
        self.host.record.outcome = "failed"
        if self.held.lost:
            console.host(name, f"{self.held.lost_reason}; this run changes nothing more there")
        elif self.proven:
            console.host(name, "this release was proven by an earlier run and was not changed; it is left as it is")
        elif self.rollback_to:
            console.host(name, f"failed ({reason}); going back to {self.rollback_to}")
            self.converging.serve(self.rollback_to, "restore", reason)
            self.host.record.outcome = "restored"
        elif self.keep_failed:
            console.host(name, "the failed release is left running, as --keep-failed asks")
        else:
            console.host(name, f"failed ({reason}); there is no earlier release to go back to, so nothing serves")
            self.converging.stop(reason)
