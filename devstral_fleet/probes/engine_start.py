"""The start of the engine that runs: how old its process is, and what its log says of the start.

The log is SGLang's, the same for every runtime: `docker run` stays in front of a container and the service manager
keeps its output. Its stamps are whole seconds of local time; `elapsed` in a line is the engine's own clock. The words
are those of the releases between 0.5.10 and 0.5.23. Our own logging.json names no rank and leaves out the engine's line
`Engine startup timings`, whose numbers /server_info has too; a log of SGLang's own format names the rank, and rank 0
counts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from devstral_fleet.layout import HostLayout
from devstral_fleet.model import Value
from devstral_fleet.shell import Shell
from devstral_fleet.startup import RESOLUTION_S, EngineLog, Span

LINES = 200
LOAD_BEGIN, LOAD_END, POOL_END = "Load weight begin", "Load weight end", "Memory pool end"
READY = "The server is fired up and ready to roll"
CAPTURE = r"Capture .+ (begin|end)\."
SAID = "|".join((LOAD_BEGIN, LOAD_END, POOL_END, READY, CAPTURE))
# The last line of all says what time it is on the log's clock. A log that was rotated a moment ago holds little.
SCRIPT = r"""
pid=$1 log=$2 said=$3 lines=$4
read -r uptime _ </proc/uptime
printf 'uptime=%s\nticks=%s\nstarted=%s\n--\n' "$uptime" "$(getconf CLK_TCK)" \
    "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d ' ' -f 20)"
for file in "$log.1" "$log"; do [ ! -r "$file" ] || grep -aE "$said" "$file"; done | tail -n "$lines"
[ ! -r "$log" ] || grep -aE '^\[[0-9]{4}-' "$log" | tail -n 1
"""
_AGE = re.compile(r"uptime=(?P<uptime>[\d.]+)\nticks=(?P<ticks>\d+)\nstarted=(?P<started>\d+)$")
_STAMPED = re.compile(r"\[(?P<when>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)(?P<ranks>[^\]]*)\] (?P<words>.*)")
_CAPTURED = re.compile(r"Capture (?P<what>.+) (?P<side>begin|end)\.")
_ELAPSED = re.compile(r"elapsed[=:] ?(?P<seconds>\d+(?:\.\d+)?) s\b")


class EngineStart(Value):
    """What was seen of the engine's start."""

    age_s: float | None
    """How long its process had run when it was looked at; None where the host does not tell."""
    log: EngineLog


def command(layout: HostLayout, pid: int) -> list[str]:
    """Words of the probe; the script itself goes to standard input."""
    return ["sh", "-s", str(pid), str(layout.log), SAID, str(LINES)]


def read(shell: Shell, layout: HostLayout, pid: int) -> EngineStart:
    """Look at a process and the log beside it. What cannot be read is not known: no error."""
    return parse(shell.run(command(layout, pid), stdin=SCRIPT).stdout)


def parse(text: str) -> EngineStart:
    """Read what the script printed."""
    head, _, log = text.partition("\n--\n")
    age = _AGE.search(head)
    age_s = float(age["uptime"]) - int(age["started"]) / int(age["ticks"]) if age else None
    return EngineStart(age_s=None if age_s is None else round(age_s, 2), log=parse_log(log, age_s))


@dataclass(frozen=True)
class _Line:
    when: float
    """Seconds; only differences mean something."""
    words: str

    @property
    def elapsed_s(self) -> float | None:
        """Seconds that the engine measured."""
        found = _ELAPSED.search(self.words)
        return float(found["seconds"]) if found else None


def parse_log(text: str, age_s: float | None = None) -> EngineLog:
    """Read the last start in a log. What it does not say is left out; a line without a stamp says nothing.

    Args:
        age_s: how old the process was at the last line; what stands before its beginning is of an earlier one.
    """
    said = [line for line in map(_line, text.splitlines()) if line]
    if said and age_s is not None:
        began = said[-1].when - age_s - RESOLUTION_S
        said = [line for line in said if line.when >= began]
    said = _last_start(said)
    if not said:
        return EngineLog()
    spans = [span for span in (_load(said), _pool(said), *_graphs(said)) if span]
    ready = [line.when for line in said if line.words.startswith(READY)]
    zero = said[0].when
    return EngineLog(
        spans=tuple(
            span.model_copy(update={"ended": span.ended - zero}) for span in sorted(spans, key=lambda span: span.ended)
        ),
        ready=ready[-1] - zero if ready else None,
    )


def _line(text: str) -> _Line | None:
    """Read a line of rank 0, or of none; a progress bar may stand before it."""
    found = _STAMPED.search(text)
    if not found or set(re.findall(r"\d+", found["ranks"])) - {"0"}:
        return None
    return _Line(datetime.fromisoformat(found["when"]).replace(tzinfo=UTC).timestamp(), found["words"])


def _last_start(said: list[_Line]) -> list[_Line]:
    """Cut off what stands before weights were loaded for the last time; ranks without names begin together."""
    begun = [number for number, line in enumerate(said) if line.words.startswith(LOAD_BEGIN)]
    return said[begun[-1] :] if begun else said


def _load(said: Sequence[_Line]) -> Span | None:
    ends = _all(said, LOAD_END)
    if not ends:
        return None
    elapsed = [line.elapsed_s for line in ends if line.elapsed_s is not None]
    begun = _all(said, LOAD_BEGIN)
    if not elapsed and not begun:
        return None
    seconds = max(elapsed) if elapsed else ends[-1].when - begun[0].when
    return Span(name="load", ended=ends[-1].when, seconds=seconds)


def _pool(said: Sequence[_Line]) -> Span | None:
    loaded, ends = _all(said, LOAD_END), _all(said, POOL_END)
    if not loaded or not ends or ends[-1].when < loaded[-1].when:
        return None
    return Span(name="kv-cache", ended=ends[-1].when, seconds=ends[-1].when - loaded[-1].when)


def _graphs(said: Sequence[_Line]) -> list[Span]:
    """All captures as one: their own times added, the longest of each kind where several ranks say theirs."""
    found = [(match, line) for line in said for match in [_CAPTURED.match(line.words)] if match]
    ends = [(match["what"], line) for match, line in found if match["side"] == "end"]
    begun = [line for match, line in found if match["side"] == "begin"]
    if not ends:
        return []
    longest: dict[str, float] = {}
    for what, line in ends:
        longest[what] = max(longest.get(what, 0.0), line.elapsed_s or 0.0)
    seconds = sum(longest.values()) or (ends[-1][1].when - begun[0].when if begun else 0.0)
    return [Span(name="graphs", ended=ends[-1][1].when, seconds=seconds)]


def _all(said: Sequence[_Line], words: str) -> list[_Line]:
    return [line for line in said if line.words.startswith(words)]
