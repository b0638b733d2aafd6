"""Verbs that look: doctor, status, logs, audit, connect."""

from typing import TYPE_CHECKING

from devstral_fleet.cli.verb import verb

if TYPE_CHECKING:
    from devstral_fleet.console import Console
    from devstral_fleet.errors import ExitCode


@verb(acceptance="measure idle GPUs too: quick (seconds), full (15 minutes), burn-in (hours)")
def doctor(
    console: "Console",
    host: str = "",
    inventory: str = "",
    acceptance: str = "",
    lock_wait: int = 0,
    json: bool = False,
) -> "ExitCode":
    """Look for what would keep a deploy from working; change nothing."""
    from devstral_fleet.workflows import doctor as workflow
    from devstral_fleet.workflows.planning import Ask

    if acceptance:
        from devstral_fleet.workflows import acceptance as measuring

        return measuring.accept(console, Ask(host, inventory), acceptance, lock_wait_s=lock_wait)
    return workflow.doctor(console, Ask(host, inventory))


@verb()
def status(console: "Console", host: str = "", inventory: str = "", json: bool = False) -> "ExitCode":
    """Show what serves on each host: release, model, health, lock."""
    from devstral_fleet.workflows import status as workflow
    from devstral_fleet.workflows.planning import Ask

    return workflow.status(console, Ask(host, inventory))


@verb(lines="how many of the newest lines")
def logs(console: "Console", host: str = "", inventory: str = "", lines: int = 50, json: bool = False) -> "ExitCode":
    """Show the newest lines of the engine's log."""
    from devstral_fleet.workflows import logs as workflow
    from devstral_fleet.workflows.planning import Ask

    return workflow.logs(console, Ask(host, inventory), lines)


@verb(lines="how many of the newest entries")
def audit(console: "Console", host: str = "", inventory: str = "", lines: int = 20, json: bool = False) -> "ExitCode":
    """Show who changed what a host serves, and when."""
    from devstral_fleet.workflows import audit as workflow
    from devstral_fleet.workflows.planning import Ask

    return workflow.audit(console, Ask(host, inventory), lines)


@verb(once="print and end; for local hosts, whose endpoint needs no forward")
def connect(
    console: "Console", host: str = "", inventory: str = "", once: bool = False, json: bool = False
) -> "ExitCode":
    """Hold a forward to the endpoint and print what a client needs."""
    from devstral_fleet.workflows import connect as workflow
    from devstral_fleet.workflows.planning import Ask

    return workflow.connect(console, Ask(host, inventory), once=once)


TASKS = (doctor, status, logs, audit, connect)
