"""The last lines of the engine's log."""

import re

from devstral_fleet.layout import HostLayout
from devstral_fleet.redact import redact
from devstral_fleet.shell import Shell

LINES = 20
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# A log that was rotated a moment ago holds little: the one before it comes first.
SCRIPT = 'lines=$1 log=$2; for file in "$log.1" "$log"; do [ ! -r "$file" ] || tail -n "$lines" "$file"; done'


def command(layout: HostLayout, lines: int) -> list[str]:
    """Words of the probe."""
    return ["sh", "-c", SCRIPT, "sh", str(lines), str(layout.log)]


def read(shell: Shell, layout: HostLayout, *, lines: int = LINES) -> tuple[str, ...]:
    """Return the log's last lines, free of secrets and colours; () where there is no log. It is evidence: no error."""
    return parse(shell.run(command(layout, lines)).stdout, lines)


def parse(text: str, lines: int) -> tuple[str, ...]:
    """Clean the lines and keep the last ones. Of a progress bar (lines ended by \\r) only the last state stays."""
    plain = _ESCAPE.sub("", redact(text))
    last = [_CONTROL.sub("", line.rstrip("\r").rsplit("\r", 1)[-1]) for line in plain.split("\n")]
    return tuple(line for line in last if line.strip())[-lines:]
