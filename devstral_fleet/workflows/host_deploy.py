"""Deploy on one host, under its lock: look, converge, wait, prove, confirm; or the previous release again."""

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
        try:
            outcome = converging.deploy(decision.release_id, decision.rollback_to)
            proving.prove(host)
            if switches.bench:
                measuring.smoke_bench(host, converging.directory.id, converging.inventory)
        except (FleetError, KeyboardInterrupt) as error:
            with deferred(host.record.console):
                recover(host, converging, decision, proven=proven, keep_failed=switches.keep_failed, error=error)
            raise
        host.record.known.update(endpoint.report(host))
        if proven and not outcome.changed:
            host.record.outcome = "unchanged"
            return
        if not proven:
            converging.confirm(decision.release_id, "deploy")
        host.record.outcome = "deployed"


def look(host: Host) -> tuple[ReleaseDecision, bool]:
    """Require a host that is ready; return what to do, and whether that release was proven by an earlier run."""
    with host.record.phase("look"):
        decision = looking.before(host)
    host.record.console.host(host.name, decision.reason)
    return decision, decision.release_id == host.record.known["previous_release"]


def recover(
    host: Host,
    converging: Converging,
    decision: ReleaseDecision,
    *,
    proven: bool,
    keep_failed: bool,
    error: BaseException,
) -> None:
    """Leave the host as it was: the last proven release serves, or nothing does where nothing was proven.

    A release that was proven before and fails now is left alone: this run did not change it.
    """
    console, reason = host.record.console, str(error) or "interrupted"
    if proven:
        console.host(host.name, "this release was proven by an earlier run and was not changed; it is left as it is")
    elif decision.rollback_to:
        console.host(host.name, f"failed ({reason}); going back to {decision.rollback_to}")
        converging.serve(decision.rollback_to, "restore", reason)
        host.record.outcome = "restored"
    elif keep_failed:
        console.host(host.name, "the failed release is left running, as --keep-failed asks")
    else:
        console.host(host.name, f"failed ({reason}); there is no earlier release to go back to, so nothing serves")
        converging.stop(reason)
