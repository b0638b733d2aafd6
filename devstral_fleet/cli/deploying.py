"""Verbs that change a host: deploy, provision, rollback, stop."""

from typing import TYPE_CHECKING

from devstral_fleet.cli.verb import verb

if TYPE_CHECKING:
    from devstral_fleet.console import Console
    from devstral_fleet.errors import ExitCode


@verb(
    batch="hosts at the same time once the first one is proven: a number, or a percentage of them all (default: 25%)",
    no_hooks="do not run the site's programs in hooks/ beside the inventory",
    keep_failed="leave a failed first release running, to look at it",
    no_bench="skip the benchmark; the deploy is then proven only to answer",
)
def deploy(
    console: "Console",
    host: str = "",
    inventory: str = "",
    model: str = "",
    context_length: int = 0,
    tensor_parallel: int = 0,
    check: bool = False,
    lock_wait: int = 0,
    keep_failed: bool = False,
    no_bench: bool = False,
    batch: str = "",
    no_hooks: bool = False,
    json: bool = False,
) -> "ExitCode":
    """Bring a host to a served, verified, measured model; on failure the previous release serves again."""
    from devstral_fleet.workflows import deploy as workflow
    from devstral_fleet.workflows.planning import Ask

    ask = Ask(host, inventory, model, context_length, tensor_parallel)
    switches = workflow.Switches(
        check=check, lock_wait_s=lock_wait, keep_failed=keep_failed, bench=not no_bench, hooks=not no_hooks
    )
    return workflow.deploy(console, ask, switches, batch)


@verb(
    batch="hosts at the same time once the first one is done: a number, or a percentage of them all (default: 25%)",
    yes="where packages wait for a reboot, reboot a host whose engine serves too",
)
def provision(
    console: "Console",
    host: str = "",
    inventory: str = "",
    check: bool = False,
    lock_wait: int = 0,
    batch: str = "",
    yes: bool = False,
    json: bool = False,
) -> "ExitCode":
    """Install what a host needs under its engine: packages, kernel settings, a Docker engine."""
    from devstral_fleet.workflows import provision as workflow
    from devstral_fleet.workflows.planning import Ask

    ask = Ask(host, inventory)
    return workflow.provision(console, ask, check=check, lock_wait_s=lock_wait, batch=batch, yes=yes)


@verb(release="release id to go back to (default: the one before)")
def rollback(
    console: "Console",
    host: str = "",
    inventory: str = "",
    release: str = "",
    check: bool = False,
    lock_wait: int = 0,
    json: bool = False,
) -> "ExitCode":
    """Serve the previous release again, proven healthy."""
    from devstral_fleet.workflows import rollback as workflow
    from devstral_fleet.workflows.planning import Ask

    return workflow.rollback(console, Ask(host, inventory), release, lock_wait_s=lock_wait, check=check)


@verb()
def stop(
    console: "Console",
    host: str = "",
    inventory: str = "",
    check: bool = False,
    lock_wait: int = 0,
    json: bool = False,
) -> "ExitCode":
    """Stop serving; releases, model files and environments stay for the next deploy."""
    from devstral_fleet.workflows import stop as workflow
    from devstral_fleet.workflows.planning import Ask

    return workflow.stop(console, Ask(host, inventory), lock_wait_s=lock_wait, check=check)


TASKS = (deploy, provision, rollback, stop)
