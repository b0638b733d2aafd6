"""The lock's verbs: lock.status, lock.release."""

from typing import TYPE_CHECKING

from devstral_fleet.cli.verb import verb

if TYPE_CHECKING:
    from devstral_fleet.console import Console
    from devstral_fleet.errors import ExitCode


@verb()
def status(console: "Console", host: str = "", inventory: str = "", json: bool = False) -> "ExitCode":
    """Show who holds the deploy lock of a host, since when and why."""
    from devstral_fleet.workflows import locking as workflow
    from devstral_fleet.workflows.planning import Ask

    return workflow.status(console, Ask(host, inventory))


@verb()
def release(
    console: "Console", host: str = "", inventory: str = "", yes: bool = False, json: bool = False
) -> "ExitCode":
    """Break the deploy lock of a host; --yes when its owner may still be at work."""
    from devstral_fleet.workflows import locking as workflow
    from devstral_fleet.workflows.planning import Ask

    return workflow.release(console, Ask(host, inventory), yes=yes)


TASKS = (status, release)
