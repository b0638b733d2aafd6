"""The only module that prints: one line an event, a moving line on a terminal, one JSON document with --json."""

import json as json_module
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TextIO

from rich.console import Console as Rich
from rich.markup import escape
from rich.status import Status

from devstral_fleet.errors import FleetError
from devstral_fleet.findings import Finding

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
        self._clock = clock
        self._status: Status | None = None
        self._step = ""
        self._documented = False

    def say(self, text: str) -> None:
        """Print one plain line."""
        self._rich.print(escape(text))

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
        self._rich.print(f"[bold]{escape(host)}[/]  {escape(text)}")

    def step(self, text: str) -> None:
        """Say what the running phase does now: the moving line's words, and the next heartbeat's."""
        self._step = text
        if self._status:
            self._status.update(escape(text))

    @contextmanager
    def phase(self, host: str, name: str) -> Iterator[None]:
        """Show that a phase runs until the context ends; a heartbeat line every 15 s where there is no terminal."""
        begun = self._clock()
        self._step = name
        done = threading.Event()
        beat = threading.Thread(target=self._heartbeat, args=(host, name, begun, done), daemon=True)
        if self._rich.is_terminal:
            self._status = self._rich.status(escape(name))
            self._status.start()
        else:
            self.host(host, f"{name} ...")
            beat.start()
        try:
            yield
        finally:
            done.set()
            if self._status:
                self._status.stop()
                self._status = None
            elif beat.ident:
                beat.join()
        self.host(host, f"{name} done in {self._clock() - begun:.1f} s")

    def _heartbeat(self, host: str, name: str, begun: float, done: threading.Event) -> None:
        while not done.wait(HEARTBEAT_S):
            detail = f": {self._step}" if self._step != name else ""
            self.host(host, f"{name} still running after {self._clock() - begun:.0f} s{detail}")

    def finding(self, host: str, finding: Finding) -> None:
        """Print one finding; what failed or warns with its evidence and fix."""
        self._rich.print(f"[bold]{escape(host)}[/]  {MARKS[finding.state]}  {escape(finding.summary)}")
        if finding.state != "ok":
            for line in finding.evidence:
                self._rich.print(f"      {escape(line)}")
            if finding.fix:
                self._rich.print(f"      fix: {escape(finding.fix)}")

    def error(self, error: FleetError) -> None:
        """Print an error to standard error: the sentence, the evidence, the fix."""
        self._errors.print(f"[red]error:[/] {escape(error.message)}")
        for line in error.evidence:
            self._errors.print(f"  | {escape(line)}")
        if error.fix:
            self._errors.print(f"  fix: {escape(error.fix)}")

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
