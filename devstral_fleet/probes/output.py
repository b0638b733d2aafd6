"""What all probes share: run a command, and say well what went wrong with it."""

import json
from collections.abc import Mapping, Sequence

from devstral_fleet.errors import ProbeError
from devstral_fleet.redact import redact
from devstral_fleet.shell import TIMED_OUT, CommandResult, Shell

EVIDENCE_LINES = 5


def run(shell: Shell, probe: str, argv: Sequence[str], *, stdin: str = "", timeout_s: float = 30.0) -> str:
    """Run a probe's command and return what it printed.

    Raises:
        ProbeError: it failed; its last words are the evidence.
    """
    result = shell.run(argv, stdin=stdin, timeout_s=timeout_s)
    if not result.ok:
        raise failed(shell.host, probe, result, timeout_s)
    return result.stdout


def failed(host: str, probe: str, result: CommandResult, timeout_s: float) -> ProbeError:
    """The error of a command that failed; a missing python3 is said in so many words."""
    what = f"did not end within {timeout_s:g} s" if result.exit_status == TIMED_OUT else f"ended {result.exit_status}"
    lines = redact(result.stderr or result.stdout).strip().splitlines()[-EVIDENCE_LINES:]
    fix = "install it on the host: apt-get install python3" if _without_python(result) else ""
    reason = "python3 is missing there" if fix else f"its command {what}"
    return ProbeError(f"{host}: the {probe} probe failed: {reason}", fix=fix, evidence=lines, host=host)


def fields(text: str, probe: str, names: Sequence[str]) -> dict[str, str]:
    """Read `name=value` lines; every one of `names` must be there.

    Raises:
        ProbeError: a name is missing.
    """
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    missing = [name for name in names if name not in values]
    if missing:
        raise unreadable(probe, f"no {', '.join(missing)}", text)
    return values


def document(text: str, probe: str) -> Mapping[str, object]:
    """Read one JSON object.

    Raises:
        ProbeError: the text is something else.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise unreadable(probe, "no JSON", text) from error
    if not isinstance(value, dict):
        raise unreadable(probe, "no JSON object", text)
    return value


def unreadable(probe: str, reason: str, text: str) -> ProbeError:
    """The error of output that the parser does not know."""
    lines = redact(text).splitlines()[:EVIDENCE_LINES]
    return ProbeError(f"the {probe} probe printed what cannot be read: {reason}", evidence=lines)


def _without_python(result: CommandResult) -> bool:
    return result.exit_status == 127 and "python3" in result.argv
