"""rollback: an earlier release serves again, proven healthy."""

from devstral_fleet import project, releases
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.host_deploy import Attempt
from devstral_fleet.workflows.interrupts import deferred
from devstral_fleet.workflows.planning import Ask, inventory_path, targets
from devstral_fleet.workflows.rollout import everywhere
from devstral_fleet.workflows.running import Run


def rollback(console: Console, ask: Ask, release: str, *, lock_wait_s: int, check: bool) -> ExitCode:
    """Go back on every host that was named, at the same time."""
    found, inventory = targets(ask), inventory_path(ask)
    with Run(console, RunDirectory.create(project.runs(), "rollback"), "rollback", ask) as run:

        def step(host: Host) -> None:
            converging = Converging(host, run.directory, inventory)
            preview(converging, release) if check else rollback_host(converging, release, lock_wait_s)

        everywhere(run, found, step)
    return run.exit_code


def rollback_host(converging: Converging, release: str, lock_wait_s: int) -> None:
    """Serve the release before (or the one that was named) on one host; if it does not, what served before again."""
    host, run_id = converging.host, converging.directory.id
    with host.locked(run_id, "rollback", lock_wait_s) as held:
        wanted, before = choose(host, release)
        back = before if before != wanted else ""
        attempt = Attempt(converging, held, back, proven=not back, keep_failed=True)
        with attempt.recovering():
            converging.serve(wanted, "rollback", f"from {before or 'nothing'}")
            held.require()
        with deferred(host.record.console):
            converging.confirm(wanted)
    host.record.outcome = "rolled-back"


def preview(converging: Converging, release: str) -> None:
    """Show on one host what a rollback would change; nothing is changed, no lock is taken."""
    wanted, before = choose(converging.host, release)
    converging.host.record.console.host(converging.host.name, f"{wanted} would replace {before or 'nothing'}")
    converging.preview("rollback.yml", wanted)


def choose(host: Host, release: str) -> tuple[str, str]:
    """The release to go to, and the one that serves; both go into the record."""
    facts = host.releases()
    wanted = releases.rollback_target(facts, release or None)
    host.record.known.update(release=wanted, previous_release=facts.current)
    return wanted, facts.serving
