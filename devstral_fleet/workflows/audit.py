"""audit: who changed what a host serves, and when."""

from devstral_fleet import audit as audit_log
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode
from devstral_fleet.workflows.host import Host, each
from devstral_fleet.workflows.planning import Ask, targets

COLUMNS = ("time", "event", "release", "who", "reason")


def audit(console: Console, ask: Ask, lines: int) -> ExitCode:
    """Print the newest entries of each host's audit log, oldest first."""
    entries: dict[str, list[dict[str, object]]] = {}

    def show(host: Host) -> None:
        entries[host.name] = audit_log.read(host.shell, host.layout)[-lines:]
        rows = [[str(entry.get(column, "")) for column in COLUMNS] for entry in entries[host.name]]
        console.table(COLUMNS, rows, title=host.name)

    code = each(targets(ask), console, show)
    console.document(entries)
    return code
