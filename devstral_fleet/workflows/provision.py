"""provision: what a host needs under its engine, from the operating system's packages to a Docker that answers."""

from devstral_fleet import project
from devstral_fleet.batches import batch_size
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows import looking, provisioning, rebooting
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.host_deploy import Turn
from devstral_fleet.workflows.planning import Ask, inventory_path, targets
from devstral_fleet.workflows.rollout import Rollout
from devstral_fleet.workflows.running import Run


def provision(
    console: Console, ask: Ask, *, check: bool, lock_wait_s: int, batch: str = "", yes: bool = False
) -> ExitCode:
    """Provision the hosts: the first one gates the rest, which follow in batches."""
    found, inventory = targets(ask), inventory_path(ask)
    size = batch_size(batch, len(found))
    with Run(console, RunDirectory.create(project.runs(), "provision"), "provision", ask) as run:

        def step(host: Host, turn: Turn) -> None:
            converging = Converging(host, run.directory, inventory)
            if check:
                provisioning.preview(converging)
            else:
                provision_host(converging, turn, lock_wait_s, yes=yes)

        if len(found) == 1:
            run.on(found[0], lambda host: step(host, lambda _changes: None))
        else:
            Rollout(run, found, step, size=size, gated=not check).go()
    return run.exit_code


def provision_host(converging: Converging, turn: Turn, lock_wait_s: int, *, yes: bool = False) -> None:
    """Provision one host under its lock, and prove what came; `yes`: reboot it under an engine too."""
    host = converging.host
    looking.require_real(host)
    plan = provisioning.plan(host)
    with host.locked(converging.directory.id, "provision", lock_wait_s) as held:
        turn(True)
        held.require()
        outcome = provisioning.converge(converging, plan)
        rebooted = rebooting.where_needed(converging, held, yes=yes)
        provisioning.prove(host, plan)
    host.record.outcome = "provisioned" if outcome.changed or rebooted else "unchanged"
