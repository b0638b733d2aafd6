"""Deploy on one host, under its lock: look, converge, wait, prove, confirm; or the previous release again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from devstral_fleet.errors import FleetError
from devstral_fleet.releases import ReleaseDecision
from devstral_fleet.workflows import endpoint, looking, measuring, proving
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.interrupts import deferred


@dataclass(frozen=True)
class Switches:
    """What the command line said about how to deploy."""

    check: bool = False
    lock_wait_s: int = 0
    keep_failed: bool = False
    bench: bool = True


def deploy_host(host: Host, converging: Converging, switches: Switches) -> None:
    """Take one host from what it is to a proven release; raise what stood in the way, after recovery.

    Raises:
        FleetError: with the previous release serving again, when there was one.
    """
    with host.locked(converging.directory.id, f"deploy {host.plan.model}", switches.lock_wait_s):
        decision, proven = look(host)
        attempt = Attempt(host, converging, decision, proven=proven, keep_failed=switches.keep_failed)
        with attempt.recovering():
            outcome = converging.deploy(decision.release_id, decision.rollback_to)
            proving.prove(host)
            if switches.bench:
                measuring.smoke_bench(host, converging.directory.id, converging.inventory)
        host.record.known.update(endpoint.report(host))
        host.record.outcome = "unchanged" if proven and not outcome.changed else "deployed"
        if not proven:
            with deferred(host.record.console), attempt.recovering():
                converging.confirm(decision.release_id, "deploy")


def look(host: Host) -> tuple[ReleaseDecision, bool]:
    """Require a host that is ready; return what to do, and whether that release was proven by an earlier run."""
    with host.record.phase("look"):
        decision = looking.before(host)
    host.record.console.host(host.name, decision.reason)
    return decision, decision.release_id == host.record.known["previous_release"]


@dataclass(frozen=True)
class Attempt:
    """One try to bring a host to a release, and what is done when it fails.

    `proven`: the release was proven by an earlier run, so that this one did not bring it.
    """

    host: Host
    converging: Converging
    decision: ReleaseDecision
    proven: bool
    keep_failed: bool

    @contextmanager
    def recovering(self) -> Iterator[None]:
        """Recover, undisturbed, from an error or an interrupt in the context; then let it go on."""
        try:
            yield
        except (FleetError, KeyboardInterrupt) as error:
            with deferred(self.host.record.console):
                self.recover(str(error) or "interrupted")
            raise

    def recover(self, reason: str) -> None:
        """Leave the host as it was: the last proven release serves, or nothing does where nothing was proven.

        A release that was proven before and fails now is left alone: this run did not change it.
        """
        name, console = self.host.name, self.host.record.console
        self.host.record.outcome = "failed"
        if self.proven:
            console.host(name, "this release was proven by an earlier run and was not changed; it is left as it is")
        elif self.decision.rollback_to:
            console.host(name, f"failed ({reason}); going back to {self.decision.rollback_to}")
            self.converging.serve(self.decision.rollback_to, "restore", reason)
            self.host.record.outcome = "restored"
        elif self.keep_failed:
            console.host(name, "the failed release is left running, as --keep-failed asks")
        else:
            console.host(name, f"failed ({reason}); there is no earlier release to go back to, so nothing serves")
            self.converging.stop(reason)
