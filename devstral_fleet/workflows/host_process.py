"""A process for each host of a run over several: forked, one connection, its events and its report by a pipe.

A process of its own keeps what is true with one host: Ctrl-C ends what blocks, the way back is not disturbed, a crash
is one host's. It leads a process group, so that an interrupt of the terminal comes once, from the run's process.
"""

import io
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from threading import Lock

from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode, FleetError
from devstral_fleet.events import Event
from devstral_fleet.model import Value
from devstral_fleet.report.model import ErrorReport, HostReport
from devstral_fleet.shell import end_with_the_controller
from devstral_fleet.workflows import interrupts
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.host_deploy import Turn
from devstral_fleet.workflows.planning import Target
from devstral_fleet.workflows.record import HostRecord
from devstral_fleet.workflows.running import work

Step = Callable[[Host, Turn], None]


class Asking(Value):
    """A host was looked at, and waits until it is let go."""

    changes: bool


class NotTouchedError(Exception):
    """The run goes no further: this host's turn does not come."""


@dataclass
class HostProcess:
    """The run's end of one host's process."""

    target: Target
    pid: int
    pipe: Connection
    asking: Asking | None = None
    ended: HostReport | None = None
    released: bool = field(default=False)
    """Its turn has come, or will never come."""

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def code(self) -> ExitCode:
        return ExitCode(self.ended.exit_code) if self.ended else ExitCode.OK

    @property
    def looking(self) -> bool:
        """It has not said yet what its host needs."""
        return self.asking is None and self.ended is None

    @property
    def waiting(self) -> bool:
        """It has said so, and is not let go."""
        return self.asking is not None and self.ended is None and not self.released

    def report(self) -> HostReport:
        """What the process sent at its end; one that was killed sent nothing, and the guard on the host acts."""
        return self.ended or lost(self.target)

    def release(self, *, go: bool) -> None:
        """Give the host its turn, or say that there will be none."""
        self.released = True
        with suppress(OSError):  # it has ended: its report, or the want of one, comes next
            self.pipe.send(go)

    def interrupt(self) -> None:
        """Have it bring its host to a known state and end."""
        if self.ended is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)  # SIGINT is ignored in a shell's background

    def receive(self, show: Callable[[Event], None]) -> None:
        """Take one message that has come."""
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            message = lost(self.target)
        if isinstance(message, Event):
            show(message)
        elif isinstance(message, Asking):
            self.asking = message
        else:
            self.ended = message
            show(Event(kind="ended", host=self.name, text=message.outcome))
            os.waitpid(self.pid, 0)
            self.pipe.close()


class SendingConsole(Console):
    """The console of a host's own process: every event goes to `send`, the run's process shows it."""

    def __init__(self, host: str, send: Callable[[object], None]) -> None:
        super().__init__(stdout=io.StringIO(), stderr=io.StringIO())  # no terminal: a heartbeat tells that it lives
        self._host = host
        self._send = send

    def show(self, event: Event) -> None:
        """Send one event; one that names no host is about this one."""
        self._send(event if event.host else event.model_copy(update={"host": self._host}))

    def aside(self, text: str) -> None:
        """Say nothing from a signal's handler: the pipe may be in use, and the run's process has said it."""


def start(target: Target, step: Step, others: Iterable[HostProcess]) -> HostProcess:
    """Fork a process that works on one host. `others` have been started before; it lets go of their pipes."""
    ours, theirs = multiprocessing.Pipe()
    sys.stdout.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, interrupts.SIGNALS)  # none is lost between the fork and its own handlers
    try:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            for pipe in (ours, *(other.pipe for other in others)):
                pipe.close()
            _live(target, step, theirs, parent)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupts.SIGNALS)
    theirs.close()
    return HostProcess(target, pid, ours)


def _live(target: Target, step: Step, pipe: Connection, parent: int) -> None:
    """Be the host's process, from the fork to its end; never returns."""
    try:
        os.setpgid(0, 0)
        end_with_the_controller()
        interrupts.interruptible()
        if os.getppid() == parent:  # else it was killed before the kernel knew of our wish
            _work(target, step, pipe)
    finally:
        os._exit(0)


def _work(target: Target, step: Step, pipe: Connection) -> None:
    sending, records = Lock(), list[HostRecord]()

    def send(message: object) -> None:
        with sending, suppress(OSError):  # the run's process is gone: this host is still brought to a known state
            pipe.send(message)

    console = SendingConsole(target.name, send)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupts.SIGNALS)
        work(target, console, lambda host: _in_turn(host, step, pipe, send), records.append)
    except KeyboardInterrupt:
        pass  # its record says so
    except Exception as bug:
        evidence = tuple(traceback.format_exc().splitlines())
        send(Event(kind="error", host=target.name, error=bug_report(target.name, bug, evidence)))
    finally:
        for number in interrupts.SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        send(records[0].report() if records else lost(target))


def _in_turn(host: Host, step: Step, pipe: Connection, send: Callable[[object], None]) -> None:
    """Run the step; where its host's turn does not come, the record says that it was not touched."""

    def turn(changes: bool) -> None:
        record, outcome = host.record, host.record.outcome
        record.outcome = "untouched"
        send(Asking(changes=changes))
        if not changes:
            _receive(pipe)
        else:
            with record.phase("wait"):
                _receive(pipe)
        record.outcome = outcome

    with suppress(NotTouchedError):
        step(host, turn)


def _receive(pipe: Connection) -> None:
    """Wait for the turn; the end of the run's process ends the wait too."""
    try:
        go = pipe.recv()
    except EOFError:
        go = False
    if not go:
        raise NotTouchedError


def bug_report(host: str, bug: Exception, evidence: tuple[str, ...]) -> ErrorReport:
    """A bug as the screen shows it; the other hosts go on."""
    error = FleetError(
        f"{host}: a bug: {type(bug).__name__}: {bug}", fix="report it with these lines", evidence=evidence
    )
    return ErrorReport.of(error)


def lost(target: Target) -> HostReport:
    """Report of a host whose process ended without one."""
    error = FleetError(
        f"{target.name}: its process was killed; the guard on the host gives it back when the lock has been silent",
        fix=f"see what serves: .venv/bin/invoke status --host {target.name}",
        host=target.name,
    )
    return HostReport(
        host=target.name,
        outcome="unknown",
        exit_code=int(ExitCode.BUG),
        plan=target.plan,
        error=ErrorReport.of(error),
    )
