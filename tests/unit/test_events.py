"""A host's line on the screen, as its events make it."""

from datetime import UTC, datetime

import pytest

from devstral_fleet.events import Event, EventKind, HostProgress, duration, screen, told

GONE_ON: tuple[tuple[EventKind, str, float | None], ...] = (
    ("phase", "install", None),
    ("step", "engine: packages", None),
    ("done", "install", 12.2),
    ("phase", "smoke", None),
    ("result", "ok", None),
    ("done", "smoke", 3.0),
    ("phase", "bench chat-smoke at 4", None),
    ("result", "812 tok/s", None),
    ("done", "bench chat-smoke at 4", 39.0),
    ("phase", "confirm", None),
    ("done", "confirm", 0.4),
    ("ended", "deployed", None),
)


def progress(host: str, *said: tuple[EventKind, str, float | None]) -> HostProgress:
    """A host of which this was said at the screen's second 100."""
    line = HostProgress(host)
    for kind, text, seconds in said:
        line.take(Event(kind=kind, host=host, text=text, seconds=seconds), 100.0)
    return line


def test_the_line_of_a_deploy() -> None:
    line = progress("gpu01", *GONE_ON).line(200.0)
    assert line == "install 12 s · smoke ok · bench 812 tok/s · confirm ok · deployed"


def test_the_running_phase_shows_its_time_and_step() -> None:
    assert progress("gpu01", *GONE_ON[:2]).line(242.0) == "install 2 min 22 s: engine: packages"
    assert progress("gpu01").line(0.0) == "waiting"


def test_a_phase_that_breaks_says_so() -> None:
    line = progress("gpu01", ("phase", "start", None), ("broken", "start", 4.0), ("ended", "restored", None))
    assert line.line(0.0) == "start FAILED · restored"


def test_a_screen_too_low_shows_those_at_work_and_counts_the_rest() -> None:
    hosts = [progress(f"h{number}", *(GONE_ON[:1] if number == 9 else ())) for number in range(10)]
    lines = screen(hosts, 4, 101.0)
    assert lines == ["h9  install 1 s", "h0  waiting", "h1  waiting", "and 7 more: 7 waiting, 0 begun or ended"]


def test_names_are_padded() -> None:
    assert screen([HostProgress("a"), HostProgress("gpu01")], 9, 0.0) == ["a      waiting", "gpu01  waiting"]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (119.4, "119 s"), (120.0, "2 min 00 s")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_line_for_programs_says_nothing_empty() -> None:
    line = told(Event(kind="phase", host="gpu01", text="look"), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert line == {"time": "2026-01-02T03:04:05.000+00:00", "kind": "phase", "host": "gpu01", "text": "look"}
