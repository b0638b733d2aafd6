"""stop: nothing serves any more; what was installed stays."""

from devstral_fleet import project
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Ask, inventory_path, targets
from devstral_fleet.workflows.rollout import everywhere
from devstral_fleet.workflows.running import Run


def stop(console: Console, ask: Ask, *, lock_wait_s: int, check: bool) -> ExitCode:
    """Stop serving on every host that was named, at the same time."""
    found, inventory = targets(ask), inventory_path(ask)
    with Run(console, RunDirectory.create(project.runs(), "stop"), "stop", ask) as run:

        def step(host: Host) -> None:
            converging = Converging(host, run.directory, inventory)
            preview(converging) if check else stop_host(converging, lock_wait_s)

        everywhere(run, found, step)
    return run.exit_code


def stop_host(converging: Converging, lock_wait_s: int) -> None:
    """Stop the engine of one host and its supervisor."""
    host, run_id = converging.host, converging.directory.id
    with host.locked(run_id, "stop", lock_wait_s):
        converging.stop("stop")
    host.record.outcome = "stopped"


def preview(converging: Converging) -> None:
    """Show on one host what a stop would change; nothing is changed, no lock is taken."""
    converging.preview("stop.yml", converging.host.releases().serving or "none")
