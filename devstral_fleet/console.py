"""The only module that prints: one line an event, a moving line on a terminal, one JSON document with --json."""

import json as json_module
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TextIO

from rich.console import Console as Rich
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.status import Status
from rich.text import Text

from devstral_fleet.errors import FleetError
from devstral_fleet.events import Event, EventKind, HostProgress, screen, told
from devstral_fleet.findings import Finding
from devstral_fleet.redact import scrub
from devstral_fleet.report.model import ErrorReport

HEARTBEAT_S = 15.0
GAP = 2
"""Spaces between two columns."""
MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]FAIL[/]"}


class _Lines(Rich):
    """Lines as they are: no highlighting, no emoji of `:words:`, no wrapping; silent once nobody reads them."""

    def __init__(self, file: TextIO) -> None:
        super().__init__(file=file, highlight=False, emoji=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Go on without a reader: a deploy does not end half-way because `| head` did."""
        self.quiet = True
        _discard(self.file)

    def _check_buffer(self) -> None:
        """The same where the terminal was closed, or the disk that a file of lines lies on is full."""
        try:
            super()._check_buffer()
        except OSError:
            self.on_broken_pipe()


class Console:
    """Everything a person or a program reads from a run.

    Args:
        json: standard output carries one JSON document (`document`) and nothing else; lines go to standard error.
        stdout, stderr: for tests. clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        json: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.json = json
        self._stdout = stdout or sys.stdout
        self._errors = _Lines(stderr or sys.stderr)
        self._rich = _Lines(stderr or sys.stderr) if json else _Lines(self._stdout)
        self._journal: TextIO | None = None
        self._clock = clock
        self._status: Status | None = None
        self._progress: dict[str, HostProgress] = {}
        self._live: Live | None = None
        self._running = Event(kind="phase")
        self._step = ""
        self._documented = False

    def record_to(self, path: Path) -> None:
        """Write each event to a file (0600) too, a line of JSON each; a program may follow it while the run goes on."""
        self._journal = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", buffering=1)

    def say(self, text: str) -> None:
        """Print one plain line."""
        self.show(Event(kind="line", text=text))

    def aside(self, text: str) -> None:
        """Print one line from a signal's handler: the line that it came into may be half written.

        A stream refuses a write inside a write, so the line goes straight to the stream's descriptor, if it has one.
        """
        try:
            descriptor = self._rich.file.fileno()
        except OSError:
            self._rich.file.write(text + "\n")
            return
        with suppress(OSError):  # nobody reads any more
            os.write(descriptor, (text + "\n").encode())

    def host(self, host: str, text: str) -> None:
        """Print one line about one host."""
        self.show(Event(kind="line", host=host, text=text))

    def step(self, text: str) -> None:
        """Say what the running phase does now: the moving line's words, and the next heartbeat's."""
        self._step = text
        self.show(Event(kind="step", host=self._running.host, text=text))

    def result(self, text: str) -> None:
        """Say in two words what the running phase found ('812 tok/s')."""
        self.show(Event(kind="result", host=self._running.host, text=text))

    @contextmanager
    def phase(self, host: str, name: str) -> Iterator[None]:
        """Show that a phase runs until the context ends; a heartbeat line every 15 s where there is no terminal."""
        begun, self._step, self._running = self._clock(), "", Event(kind="phase", host=host, text=name)
        done = threading.Event()
        beat = threading.Thread(target=self._heartbeat, args=(host, name, begun, done), daemon=True)
        self.show(self._running)
        if not self._moves:
            beat.start()
        ended: EventKind = "broken"
        try:
            yield
            ended = "done"
        finally:
            done.set()
            if beat.ident:
                beat.join()
            self.show(Event(kind=ended, host=host, text=name, seconds=self._clock() - begun))

    def _heartbeat(self, host: str, name: str, begun: float, done: threading.Event) -> None:
        while not done.wait(HEARTBEAT_S):
            took = self._clock() - begun
            self.show(Event(kind="beat", host=host, text=name, detail=self._step, seconds=took))

    def finding(self, host: str, finding: Finding) -> None:
        """Print one finding; what failed or warns with its evidence and fix."""
        self.show(Event(kind="finding", host=host, finding=finding))

    def error(self, error: FleetError) -> None:
        """Print an error to standard error: the sentence, the evidence, the fix."""
        self.show(Event(kind="error", host=error.host, error=ErrorReport.of(error)))

    @contextmanager
    def several(self, hosts: Iterable[str]) -> Iterator[None]:
        """Say for each event which host it is about; on a terminal, show a line a host, which `refresh` moves."""
        if self._moves:
            self._progress = {host: HostProgress(host) for host in hosts}
            # no thread of its own: a process that is forked meanwhile would inherit its locks
            self._live = Live(get_renderable=self._screen, console=self._rich, auto_refresh=False, transient=True)
        try:
            with self._live or nullcontext():
                yield
        finally:
            self._progress, self._live = {}, None

    def refresh(self) -> None:
        """Draw the hosts' lines again, where there are any."""
        if self._live:
            self._live.refresh()

    @property
    def _moves(self) -> bool:
        """Whether a line can be drawn over."""
        return self._rich.is_terminal and not self._rich.is_dumb_terminal

    def _screen(self) -> Group:
        lines = screen(list(self._progress.values()), max(2, self._rich.height - 2), self._clock())
        return Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in lines))

    def show(self, event: Event) -> None:
        """Show one event, made here or sent by a host's own process."""
        if self._journal:
            with suppress(OSError, ValueError):  # a disk that is full ends no deploy
                self._journal.write(json_module.dumps(scrub(told(event, datetime.now(UTC)))) + "\n")
        if event.host in self._progress:
            self._progress[event.host].take(event, self._clock())
        if event.finding:
            self._show_finding(event.host, event.finding)
        elif event.error:
            self._show_error(event.error)
        elif event.kind == "line":
            self._line(event.host, event.text)
        elif event.kind == "ended":
            self._show_end(event)
        elif not self._progress:
            self._show_phase(event)

    def _show_end(self, event: Event) -> None:
        """A host's line stands still from now on, above those that move."""
        progress = self._progress.pop(event.host, None)
        self._line(event.host, progress.line(self._clock()) if progress else event.text)

    def _line(self, host: str, text: str) -> None:
        self._rich.print(f"[bold]{escape(host)}[/]  {escape(text)}" if host else escape(text))

    def _show_phase(self, event: Event) -> None:
        """Move the line of the one host that is worked on; where there is no terminal, print lines."""
        if event.kind == "phase" and self._moves:
            self._status = self._rich.status(escape(event.text))
            self._status.start()
        elif event.kind == "phase":
            self._line(event.host, f"{event.text} ...")
        elif event.kind == "step" and self._status:
            self._status.update(escape(event.text))
        elif event.kind == "beat":
            detail = f": {event.detail}" if event.detail else ""
            self._line(event.host, f"{event.text} still running after {event.seconds:.0f} s{detail}")
        elif event.kind in ("done", "broken"):
            if self._status:
                self._status.stop()
                self._status = None
            if event.kind == "done":
                self._line(event.host, f"{event.text} done in {event.seconds:.1f} s")

    def _show_finding(self, host: str, finding: Finding) -> None:
        self._rich.print(f"[bold]{escape(host)}[/]  {MARKS[finding.state]}  {escape(finding.summary)}")
        if finding.state != "ok":
            for line in finding.evidence:
                self._rich.print(f"      {escape(line)}")
            if finding.fix:
                self._rich.print(f"      fix: {escape(finding.fix)}")

    def _show_error(self, error: ErrorReport) -> None:
        lines = self._rich if self._progress and self._errors.is_terminal else self._errors
        lines.print(f"[red]error:[/] {escape(error.message)}")
        for line in error.evidence:
            lines.print(f"  | {escape(line)}")
        if error.fix:
            lines.print(f"  fix: {escape(error.fix)}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
        """Print a table, a line a row, or a line a cell where the terminal is too narrow. No cell is broken."""
        if title:
            self._rich.print(f"[bold]{escape(title)}[/]")
        widths = [max(len(cell) for cell in column) for column in zip(columns, *rows)]
        if self._rich.is_terminal and sum(widths) + GAP * (len(widths) - 1) > self._rich.width:
            for row in rows:
                self.pairs([(name, cell) for name, cell in zip(columns, row) if cell])
            return
        for number, row in enumerate((columns, *rows)):
            line = escape((" " * GAP).join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
            self._rich.print(line if number else f"[bold]{line}[/]")

    def pairs(self, rows: Sequence[tuple[str, str]]) -> None:
        """Print labels and texts, one under the other; a text is never broken, so that it can be pasted."""
        width = max((len(label) for label, _ in rows), default=0)
        for label, text in rows:
            self._rich.print(f"[bold]{escape(label.ljust(width))}[/]  {escape(text)}")

    def text(self, text: str) -> None:
        """Write text to standard output as it is (commands, logs, reports)."""
        try:
            self._stdout.write(text if text.endswith("\n") else text + "\n")
            self._stdout.flush()
        except OSError:
            _discard(self._stdout)

    def document(self, value: object) -> None:
        """Write the one JSON document of a --json run; nothing without --json."""
        if self.json:
            self._documented = True
            self.text(json_module.dumps(value, indent=2))

    def document_of_error(
        self, kind: str, message: str, *, code: int, fix: str = "", evidence: Sequence[str] = ()
    ) -> None:
        """Write why a --json run has no other document, with the keys that a report's errors have."""
        if not self._documented:
            error = {"kind": kind, "message": message, "fix": fix, "evidence": list(evidence), "exit_code": int(code)}
            self.document({"error": error})


def _discard(stream: IO[str]) -> None:
    """Lead a stream whose reader is gone to nowhere, so that flushing it at exit does not fail again."""
    with suppress(OSError):  # a stream without a descriptor has nothing to flush
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
