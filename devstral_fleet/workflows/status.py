"""status: what serves on each host."""

from typing import Any

from devstral_fleet import lock
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode, FleetError, worst
from devstral_fleet.workflows.host import Host, opened
from devstral_fleet.workflows.planning import Ask, Target, targets

COLUMNS = ("host", "state", "model", "release", "endpoint", "lock")


def status(console: Console, ask: Ask) -> ExitCode:
    """Show one line a host; a host that cannot be asked is shown with its reason, and decides the exit code."""
    rows, codes = [], []
    for target in targets(ask):
        row, code = _row(console, target)
        rows.append(row)
        codes.append(code)
    console.table(COLUMNS, [[row[column] for column in COLUMNS] for row in rows])
    console.document(rows)
    return worst(codes)


def _row(console: Console, target: Target) -> tuple[dict[str, Any], ExitCode]:
    try:
        with opened(target, console) as host:
            return _facts(host), ExitCode.OK
    except FleetError as error:
        console.error(error)
        blank = {**dict.fromkeys(COLUMNS, ""), "pid": 0}
        return {**blank, "host": target.name, "state": type(error).__name__}, error.code


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
    }
