"""deploy: from a plan to a served, verified, measured model on every host that was named."""

from devstral_fleet import project
from devstral_fleet.batches import batch_size
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows import hooks, looking, measuring, provisioning
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.host_deploy import Switches, Turn, deploy_host
from devstral_fleet.workflows.peers import Peers
from devstral_fleet.workflows.planning import Ask, Target, inventory_path, show, targets
from devstral_fleet.workflows.rollout import Rollout
from devstral_fleet.workflows.running import Run

__all__ = ["Switches", "deploy"]


def deploy(console: Console, ask: Ask, switches: Switches, batch: str = "") -> ExitCode:
    """Deploy to the hosts: the first one gates the rest, which follow in batches.

    With --check, show what would change on each and change nothing.
    """
    found, inventory = targets(ask), inventory_path(ask)
    size = batch_size(batch, len(found))
    measuring.require_readable_baselines(inventory, [target.name for target in found])
    programs = hooks.find(inventory) if switches.hooks else {}
    for target in found:
        show(console, target.plan)
        require_one_host(target)
    with Run(console, RunDirectory.create(project.runs(), "deploy"), "deploy", ask) as run:
        peers = Peers.of(run.directory, () if switches.check else found, console)

        def step(host: Host, turn: Turn) -> None:
            converging = Converging(host, run.directory, inventory, peers)
            if switches.check:
                preview(host, converging)
            else:
                deploy_host(host, converging, switches, turn, hooks.Hooks(programs, run.directory, inventory))

        if len(found) == 1:
            run.on(found[0], lambda host: step(host, lambda _changes: None))
        else:
            Rollout(run, found, step, size=size, gated=not switches.check).go()
    return run.exit_code


def require_one_host(target: Target) -> None:
    """Refuse an engine over several hosts, which is planned and not deployed; nothing was contacted.

    Raises:
        ConfigurationError: it is one.
    """
    if target.plan.nodes > 1:
        raise ConfigurationError(
            f"{target.name}: its engine spans {target.plan.nodes} hosts, which is planned here and not deployed",
            fix=f".venv/bin/invoke plan --host {','.join(target.intent.nodes)} has the words that each is started with",
            host=target.name,
        )


def preview(host: Host, converging: Converging) -> None:
    """Show on one host what a deploy would change; nothing is changed, no lock is taken."""
    with host.record.phase("look"):
        seen = looking.findings(host)
    if provisioning.helps(host, seen):
        host.record.console.host(host.name, "would be provisioned first; what a deploy changes then shows afterwards")
        provisioning.preview(converging)
        return
    decision = looking.decide(host, seen)
    host.record.console.host(host.name, decision.reason)
    converging.preview("deploy.yml", decision.release_id, decision.rollback_to)
