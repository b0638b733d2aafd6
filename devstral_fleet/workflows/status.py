"""status: what serves on each host. All are asked at the same time."""

from typing import Any

from devstral_fleet import lock
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode, FleetError, worst
from devstral_fleet.workflows import looking
from devstral_fleet.workflows.host import Host, survey
from devstral_fleet.workflows.planning import Ask, targets

COLUMNS = ("host", "state", "model", "release", "endpoint", "lock")


def status(console: Console, ask: Ask) -> ExitCode:
    """Show one line a host, and what was changed behind its back.

    A host that cannot be asked is shown with its reason, and decides the exit code.
    """
    rows, codes = list[dict[str, Any]](), list[ExitCode]()
    for target, seen in survey(targets(ask), console, _facts):
        if isinstance(seen, FleetError):
            console.error(seen)
            codes.append(seen.code)
            seen = _blank(target.name, seen)
        rows.append(seen)
    console.table(COLUMNS, [[row[column] for column in COLUMNS] for row in rows])
    for name, changed in ((row["host"], change) for row in rows for change in row["drift"]):
        console.host(name, f"{changed}: .venv/bin/invoke doctor --host {name}")
    console.document(rows)
    return worst(codes)


def _blank(name: str, error: FleetError) -> dict[str, Any]:
    return {**dict.fromkeys(COLUMNS, ""), "pid": 0, "drift": [], "host": name, "state": type(error).__name__}


def _facts(host: Host) -> dict[str, Any]:
    releases, service, engine = host.releases(), host.service(), host.engine()
    owner = lock.status(host.shell, host.layout)
    proven = "" if not releases.serving or releases.serving == releases.current else " (not proven)"
    return {
        "host": host.name,
        "state": "serving" if engine.healthy else service.state,
        "model": engine.model_id,
        "release": releases.serving + proven,
        "endpoint": host.plan.base_url if engine.healthy else "",
        "pid": service.pid,
        "lock": f"{owner.who}: {owner.message}" if owner else "",
        "drift": [finding.summary for finding in looking.drift(host)],
    }
