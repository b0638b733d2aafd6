"""rollback: an earlier release serves again, proven healthy."""

from devstral_fleet import project, releases
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.planning import Ask, inventory_path, targets
from devstral_fleet.workflows.running import Run


def rollback(console: Console, ask: Ask, release: str, *, lock_wait_s: int) -> ExitCode:
    """Go back on every host that was named."""
    found, inventory = targets(ask), inventory_path(ask)
    with Run(console, RunDirectory.create(project.runs(), "rollback"), "rollback", ask) as run:
        for target in found:
            run.on(target, lambda host: rollback_host(Converging(host, run.directory, inventory), release, lock_wait_s))
    return run.exit_code


def rollback_host(converging: Converging, release: str, lock_wait_s: int) -> None:
    """Serve the release before (or the one that was named) again on one host."""
    host, run_id = converging.host, converging.directory.id
    with host.locked(run_id, "rollback", lock_wait_s):
        facts = host.releases()
        wanted = releases.rollback_target(facts, release or None)
        host.record.known.update(release=wanted, previous_release=facts.current)
        converging.serve(wanted, "rollback", f"from {facts.serving or 'nothing'}")
        converging.confirm(wanted)
    host.record.outcome = "rolled-back"
