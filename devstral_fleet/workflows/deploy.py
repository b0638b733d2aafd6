"""deploy: from a plan to a served, verified, measured model on every host that was named."""

from devstral_fleet import project
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows import looking, measuring
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.host_deploy import Switches, deploy_host
from devstral_fleet.workflows.planning import Ask, inventory_path, show, targets
from devstral_fleet.workflows.running import Run

__all__ = ["Switches", "deploy"]


def deploy(console: Console, ask: Ask, switches: Switches) -> ExitCode:
    """Deploy host by host; the first one gates the rest. With --check, show what would change and change nothing."""
    found = targets(ask)
    measuring.require_readable_baselines(inventory_path(ask), [target.name for target in found])
    for target in found:
        show(console, target.plan)
    with Run(console, RunDirectory.create(project.runs(), "deploy"), "deploy", ask) as run:

        def step(host: Host) -> None:
            converging = Converging(host, run.directory, inventory_path(ask))
            preview(host, converging) if switches.check else deploy_host(host, converging, switches)

        for target in found:
            ok = run.on(target, step)
            if not ok and target is found[0] and len(found) > 1:
                rest = ", ".join(other.name for other in found[1:])
                console.say(f"{target.name} failed and gates the rest; not touched: {rest}")
                break
    return run.exit_code


def preview(host: Host, converging: Converging) -> None:
    """Show on one host what a deploy would change; nothing is changed, no lock is taken."""
    with host.record.phase("look"):
        decision = looking.before(host)
    host.record.console.host(host.name, decision.reason)
    converging.preview("deploy.yml", decision.release_id, decision.rollback_to)
