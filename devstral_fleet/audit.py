"""The audit log on a host: a JSON line for each change of what serves. The role `audit` and the guard append to it."""

import json

from devstral_fleet.layout import HostLayout
from devstral_fleet.shell import Shell

NEWEST = 100
"""Lines that a look at the recent past reads."""


def read(shell: Shell, layout: HostLayout) -> list[dict[str, object]]:
    """Return all events, oldest first; [] where nothing was ever deployed.

    A line that cannot be read stands as {'unreadable': line}: an audit log is shown whole.
    """
    result = shell.run(["cat", str(layout.audit)])
    return parse(result.stdout) if result.ok else []


def newest(shell: Shell, layout: HostLayout, lines: int = NEWEST) -> list[dict[str, object]]:
    """Return the newest events, oldest first, however long the log has grown; [] where there are none."""
    return parse(shell.run(["tail", "-n", str(lines), str(layout.audit)]).stdout)


def parse(text: str) -> list[dict[str, object]]:
    """Read the log's lines."""
    return [_event(line) for line in text.splitlines() if line.strip()]


def _event(line: str) -> dict[str, object]:
    try:
        event = json.loads(line)
    except ValueError:
        return {"unreadable": line}
    return event if isinstance(event, dict) else {"unreadable": line}
