"""What a person or a program reads from a run."""

import io
import json
import os
import re
import stat
import threading
from pathlib import Path

import pytest

from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.events import Event
from devstral_fleet.findings import Finding

TRICKY = ["[bold]not markup[/bold]", "a :key: is no emoji", r"C:\path\[x]", "[1/2] 40%|####", "x" * 300]


class Screen:
    """A console on two texts, with a clock that goes one second a look."""

    def __init__(self, *, json: bool = False) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self._now = 0.0
        self.console = Console(json=json, stdout=self.out, stderr=self.err, clock=self._clock)

    def _clock(self) -> float:
        self._now += 1.0
        return self._now


@pytest.mark.parametrize("text", TRICKY)
def test_text_is_printed_as_it_is(text: str) -> None:
    screen = Screen()
    screen.console.say(text)
    screen.console.host(text, text)
    screen.console.pairs([(text, text)])
    screen.console.finding("gpu01", Finding(check="x", state="fail", summary=text, fix=text, evidence=(text,)))
    screen.console.error(ConfigurationError(text, fix=text, evidence=[text]))
    assert screen.out.getvalue().count(text) == 8
    assert screen.err.getvalue().splitlines() == [f"error: {text}", f"  | {text}", f"  fix: {text}"]


def test_with_json_standard_output_is_one_document() -> None:
    screen = Screen(json=True)
    screen.console.say("a line")
    screen.console.table(("one",), [["cell"]], title="title")
    with screen.console.phase("gpu01", "look"):
        screen.console.step("a step")
    screen.console.document({"a": ["ü"]})
    assert json.loads(screen.out.getvalue()) == {"a": ["ü"]}
    assert "a line" in screen.err.getvalue()


@pytest.mark.parametrize("with_json", [False, True])
def test_an_error_is_the_document_of_a_run_that_has_no_other(with_json: bool) -> None:
    screen = Screen(json=with_json)
    screen.console.document_of_error("LockedError", "taken", code=7, fix="wait", evidence=("a",))
    said = {"kind": "LockedError", "message": "taken", "fix": "wait", "evidence": ["a"], "exit_code": 7}
    assert screen.out.getvalue() == (json.dumps({"error": said}, indent=2) + "\n" if with_json else "")


def test_an_error_after_the_document_adds_no_second_one() -> None:
    screen = Screen(json=True)
    screen.console.document({})
    screen.console.document_of_error("LockedError", "taken", code=7)
    assert json.loads(screen.out.getvalue()) == {}


def test_a_table_breaks_no_cell_and_pads_no_line() -> None:
    screen = Screen()
    long = "x" * 300
    screen.console.table(("host", "state"), [["gpu01", long], ["h", ""]], title="both")
    assert screen.out.getvalue().splitlines() == ["both", "host   state", f"gpu01  {long}", "h"]


class Terminal(io.StringIO):
    """A text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_table_too_wide_for_the_terminal_is_a_line_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")  # 80 columns, no colours
    out, url = Terminal(), f"http://127.0.0.1:30000/{'path' * 15}"
    console = Console(stdout=out, stderr=out)
    console.table(("host", "endpoint", "lock"), [["gpu01", url, ""]])
    assert out.getvalue().splitlines() == ["host      gpu01", f"endpoint  {url}"]


def moving(monkeypatch: pytest.MonkeyPatch) -> tuple[Console, Terminal]:
    """A console on a terminal that can draw over its lines."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    out = Terminal()
    return Console(stdout=out, stderr=out, clock=lambda: 5.0), out


def test_several_hosts_on_a_terminal_are_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    console, out = moving(monkeypatch)
    threads = threading.active_count()
    with console.several(["gpu01", "gpu02"]):
        console.show(Event(kind="phase", host="gpu01", text="install"))
        console.refresh()
        assert threading.active_count() == threads, "a process is forked while the lines move"
        assert "gpu01  install 0 s" in out.getvalue()
        assert "gpu02  waiting" in out.getvalue()
        assert "install ..." not in out.getvalue()
        console.show(Event(kind="done", host="gpu01", text="install", seconds=12.0))
        console.show(Event(kind="ended", host="gpu01", text="deployed"))
        console.show(Event(kind="line", host="gpu02", text="a line stands above those that move"))
    console.say("after")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "gpu01  install 12 s · deployed" in plain
    assert "gpu02  a line stands above those that move\n" in plain
    assert plain.endswith("after\n")


def test_several_hosts_without_a_terminal_are_plain_lines() -> None:
    screen = Screen()
    with screen.console.several(["gpu01", "gpu02"]):
        screen.console.show(Event(kind="phase", host="gpu01", text="install"))
        screen.console.show(Event(kind="beat", host="gpu02", text="start", detail="loading", seconds=15.0))
        screen.console.show(Event(kind="done", host="gpu01", text="install", seconds=12.0))
        screen.console.refresh()
        screen.console.show(Event(kind="ended", host="gpu01", text="deployed"))
    assert screen.out.getvalue().splitlines() == [
        "gpu01  install ...",
        "gpu02  start still running after 15 s: loading",
        "gpu01  install done in 12.0 s",
        "gpu01  deployed",
    ]


def test_events_are_lines_of_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    screen = Screen()
    screen.console.record_to(tmp_path / "events.jsonl")
    screen.console.host("gpu01", "api_key=sesame12345")
    with screen.console.phase("gpu01", "smoke"):
        screen.console.result("ok")
    assert stat.S_IMODE((tmp_path / "events.jsonl").stat().st_mode) == 0o600
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["line", "phase", "result", "done"]
    assert {line["host"] for line in lines} == {"gpu01"}
    assert "sesame12345" not in str(lines)


def test_without_json_a_document_is_not_printed() -> None:
    screen = Screen()
    screen.console.document({"a": 1})
    assert screen.out.getvalue() == ""


def test_a_phase_says_how_long_it_took() -> None:
    screen = Screen()
    with screen.console.phase("gpu01", "install"):
        pass
    assert screen.out.getvalue().splitlines() == ["gpu01  install ...", "gpu01  install done in 1.0 s"]


def test_a_phase_that_fails_is_not_called_done() -> None:
    screen = Screen()
    with pytest.raises(ConfigurationError), screen.console.phase("gpu01", "install"):
        raise ConfigurationError("no")
    assert "done" not in screen.out.getvalue()


def test_a_good_finding_is_one_line() -> None:
    screen = Screen()
    screen.console.finding("gpu01", Finding(check="x", state="ok", summary="well", fix="", evidence=("e",)))
    assert screen.out.getvalue().splitlines() == ["gpu01  ok  well"]


def test_text_ends_with_one_line_break() -> None:
    screen = Screen()
    screen.console.text("a")
    screen.console.text("b\n")
    assert screen.out.getvalue() == "a\nb\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_reader_that_has_gone_ends_nothing(as_json: bool) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        console = Console(json=as_json, stdout=pipe, stderr=pipe)
        with console.phase("gpu01", "install"):
            console.say("nobody reads this")
        console.error(ConfigurationError("nor this"))
        console.text("nor that")
        console.document({})
    # the pipe was closed by `with`, which flushes it: that did not fail either


def test_a_disk_that_is_full_ends_nothing() -> None:
    with Path("/dev/full").open("w") as full:
        console = Console(json=True, stdout=full, stderr=full)
        console.say("there is no room for this")
        console.error(ConfigurationError("nor this"))
        console.document({})


def test_the_pipe_of_the_test_above_would_break() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"x")
    os.close(writing)
