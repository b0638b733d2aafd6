"""The engine's service as its manager sees it: a systemd unit, or the program `engine` of our own supervisord."""

import re
from typing import Literal

from devstral_fleet.facts import ServiceFacts
from devstral_fleet.layout import HostLayout
from devstral_fleet.probes import output
from devstral_fleet.shell import Shell

State = Literal["running", "starting", "stopped", "failed", "absent"]

PROGRAM = "engine"
# The unit is asked first: where both exist, the host was moved to systemd and supervisord is what was left behind.
SCRIPT = r"""
supervisor=$1 unit=$2
if command -v systemctl >/dev/null 2>&1; then
    shown=$(systemctl show "$unit" --property=LoadState,ActiveState,SubState,MainPID,Result,ExecMainStatus 2>/dev/null)
    case $shown in *LoadState=loaded*) printf 'manager=systemd\n%s\n' "$shown"; exit 0 ;; esac
fi
configuration=$supervisor/supervisord.conf
for program in "$supervisor/venv/bin/supervisorctl" "$supervisor/bin/supervisorctl"; do
    if [ -x "$program" ] && [ -f "$configuration" ]; then
        printf 'manager=supervisor\n%s\n' "$("$program" -c "$configuration" status engine 2>&1)"
        printf 'pid=%s\n' "$("$program" -c "$configuration" pid engine 2>&1)" # status has no pid while it starts
        ends=$(grep -aE '(exited|stopped): engine ' "$supervisor/supervisord.log" 2>/dev/null | tail -n 1)
        case $ends in *exited:*) printf 'ended=%s\n' "$ends" ;; esac # the last end is none that we asked for
        exit 0
    fi
done
echo manager=none
"""
SUPERVISOR_STATES: dict[str, State] = {
    "RUNNING": "running",
    "STARTING": "starting",
    "BACKOFF": "starting",
    "STOPPING": "stopped",
    "STOPPED": "stopped",
    "EXITED": "failed",
    "FATAL": "failed",
    "UNKNOWN": "failed",
}
SYSTEMD_STATES: dict[str, State] = {
    "active": "running",
    "reloading": "running",
    "activating": "starting",
    "deactivating": "stopped",
    "inactive": "stopped",
    "failed": "failed",
}
_STATUS = re.compile(rf"^{PROGRAM}\s+(?P<state>[A-Z]+)\b.*$", re.MULTILINE)
_PID = re.compile(r"^pid=(\d+)$", re.MULTILINE)
_ENDED = re.compile(r"^ended=(?P<when>\S+ [^ ,]+).* \((?P<how>[^)]*)\)$", re.MULTILINE)


def unit_name(layout: HostLayout) -> str:
    """Name of the systemd unit: two homes on one host get two units."""
    return layout.unit


def command(layout: HostLayout) -> list[str]:
    """Words of the probe; the script itself goes to standard input."""
    return ["sh", "-s", str(layout.supervisor), layout.unit]


def read(shell: Shell, layout: HostLayout) -> ServiceFacts:
    """Ask the host's service manager about the engine.

    Raises:
        ProbeError: the script failed or printed something else.
    """
    return parse(output.run(shell, "service", command(layout), stdin=SCRIPT))


def parse(text: str) -> ServiceFacts:
    """Read what the manager said."""
    first, _, detail = text.strip().partition("\n")
    match first:
        case "manager=none":
            return ServiceFacts(manager="none", state="absent", pid=0, detail="no service is installed")
        case "manager=systemd":
            return _systemd(detail)
        case "manager=supervisor":
            return _supervisor(detail)
    raise output.unreadable("service", "no manager", text)


def _systemd(detail: str) -> ServiceFacts:
    values = output.fields(detail, "service", ("ActiveState", "SubState", "MainPID"))
    state = SYSTEMD_STATES.get(values["ActiveState"])
    if state is None:
        raise output.unreadable("service", f"unknown state {values['ActiveState']}", detail)
    words = f"{values['ActiveState']} ({values['SubState']}), result {values.get('Result', '?')}"
    if values.get("ExecMainStatus", "0") != "0":
        words += f", its process ended with status {values['ExecMainStatus']}"
    return ServiceFacts(manager="systemd", state=state, pid=int(values["MainPID"] or 0), detail=words)


def _supervisor(detail: str) -> ServiceFacts:
    status = _STATUS.search(detail)
    if status and status["state"] in SUPERVISOR_STATES:
        pid, ended = _PID.search(detail), _ENDED.search(detail)
        words = " ".join(status[0].split())
        if ended and status["state"] != "RUNNING":
            words += f"; its last end, at {ended['when']}: {ended['how']}"
        return ServiceFacts(
            manager="supervisor",
            state=SUPERVISOR_STATES[status["state"]],
            pid=int(pid[1]) if pid else 0,
            detail=words,
        )
    if "no such process" in detail or "no such group" in detail:
        return ServiceFacts(manager="supervisor", state="absent", pid=0, detail=detail.strip().splitlines()[0])
    if "no such file" in detail or "refused connection" in detail or "SHUTDOWN_STATE" in detail:
        return ServiceFacts(manager="supervisor", state="stopped", pid=0, detail="its supervisord does not run")
    raise output.unreadable("service", "unknown words of supervisorctl", detail)
