"""The audit log on a host: one JSON line for each change of what serves, appended, never rewritten."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from devstral_fleet.errors import ConfigurationError
from devstral_fleet.layout import HostLayout
from devstral_fleet.redact import scrub
from devstral_fleet.shell import Shell

# One write of one line: appends of two programs do not mix. A line that a power loss cut short is ended first.
_APPEND = r"""
umask 077
line=$(cat) file=$1
[ ! -s "$file" ] || [ -z "$(tail -c 1 "$file")" ] || printf '\n' >>"$file"
printf '%s\n' "$line" >>"$file"
"""


def append(shell: Shell, layout: HostLayout, event: Mapping[str, object]) -> None:
    """Append one event; `time` (UTC) is added where it is missing, and secrets are taken out.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    stamped = {"time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", **event}
    line = json.dumps(scrub(stamped), separators=(",", ":"))
    result = shell.run(["sh", "-c", _APPEND, "sh", str(layout.audit)], stdin=line)
    if not result.ok:
        raise ConfigurationError(
            f"{shell.host}: cannot write {layout.audit}: {result.stderr.strip()}",
            fix=f"make {layout.home} writable for the user that Ansible becomes there",
            host=shell.host,
        )


def read(shell: Shell, layout: HostLayout) -> list[dict[str, object]]:
    """Return all events, oldest first; [] where nothing was ever deployed.

    A line that cannot be read stands as {'unreadable': line}: an audit log is shown whole.
    """
    result = shell.run(["cat", str(layout.audit)])
    return parse(result.stdout) if result.ok else []


def parse(text: str) -> list[dict[str, object]]:
    """Read the log's lines."""
    return [_event(line) for line in text.splitlines() if line.strip()]


def _event(line: str) -> dict[str, object]:
    try:
        event = json.loads(line)
    except ValueError:
        return {"unreadable": line}
    return event if isinstance(event, dict) else {"unreadable": line}
