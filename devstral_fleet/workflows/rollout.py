"""One step over several hosts, a process for each: all are looked at, the first one is the gate, then batches.

A host on which nothing changes waits for nobody. One that fails ends the rollout: hosts at work finish, the others are
not touched.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait

from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode
from devstral_fleet.report.model import HostReport
from devstral_fleet.workflows import host_process
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.host_process import HostProcess, Step
from devstral_fleet.workflows.interrupts import handed_on
from devstral_fleet.workflows.planning import Target
from devstral_fleet.workflows.running import Run

AT_ONCE = 32
"""Processes at the same time. Each holds two connections to its host, and Ansible while that works there."""
TICK_S = 0.2
"""How often the screen moves while no host says anything."""


@dataclass(frozen=True)
class NotBegun:
    """A host whose process was never started."""

    target: Target
    code: ExitCode = ExitCode.OK

    def report(self) -> HostReport:
        return HostReport(host=self.target.name, outcome="untouched", exit_code=0, plan=self.target.plan)


def everywhere(run: Run, targets: Sequence[Target], step: Callable[[Host], None]) -> None:
    """Run one step on all hosts at the same time; one that fails leaves the others alone.

    Raises:
        KeyboardInterrupt: one came; every host is in a known state.
    """
    if len(targets) == 1:
        run.on(targets[0], step)
    else:
        Rollout(run, targets, lambda host, _turn: step(host), size=len(targets), gated=False).go()


class Rollout:
    """Brings a run's hosts to their turn. `size`: hosts of a batch; `gated`: whether a failure ends the rollout."""

    def __init__(self, run: Run, targets: Sequence[Target], step: Step, *, size: int, gated: bool) -> None:
        self._run = run
        self._console: Console = run.console
        self._unbegun = deque(targets)
        self._step = step
        self._size = size
        self._gated = gated
        self._hosts: list[HostProcess] = []
        self._batch: list[HostProcess] = []
        self._ended_early = False
        self._interrupts = 0

    def go(self) -> None:
        """Work until every host's process has ended; every wait of those has a deadline of its own.

        Raises:
            KeyboardInterrupt: one came; every host is in a known state.
        """
        names = [target.name for target in self._unbegun]
        with handed_on(self._hear), self._console.several(names):
            self._begin()
            while live := self._live():
                for pipe in wait([host.pipe for host in live], TICK_S):
                    self._receive(next(host for host in live if host.pipe is pipe))
                self._console.refresh()
                self._hand_on_interrupts(live)
                self._let_go()
                self._begin()
            self._run.records += [NotBegun(target) for target in self._unbegun]

    def _hear(self) -> None:
        self._interrupts += 1

    def _live(self) -> list[HostProcess]:
        return [host for host in self._hosts if host.ended is None]

    def _begin(self) -> None:
        """Start the next hosts' processes, as many as there is room for."""
        while self._unbegun and len(live := self._live()) < AT_ONCE and not self._ended_early:
            host = host_process.start(self._unbegun.popleft(), self._step, live)
            self._hosts.append(host)
            self._run.records.append(host)

    def _receive(self, host: HostProcess) -> None:
        host.receive(self._console.show)
        if host.ended and host.code and self._gated and not self._ended_early:
            self._ended_early = True
            self._say_what_is_left(host)

    def _say_what_is_left(self, failed: HostProcess) -> None:
        left = [host.name for host in self._hosts if host.looking or host.waiting]
        left += [target.name for target in self._unbegun]
        gates = " and gates the rest" if failed is self._hosts[0] else ""
        if left:
            self._console.say(f"{failed.name} failed{gates}; not touched: {', '.join(left)}")

    def _hand_on_interrupts(self, live: list[HostProcess]) -> None:
        """Interrupt each host's process as often as this one was."""
        while self._interrupts:
            self._interrupts -= 1
            self._ended_early = True
            self._console.say("each host is being brought to a known state; this run ends right after that")
            for host in live:
                host.interrupt()

    def _let_go(self) -> None:
        """Give hosts their turn: at once where nothing changes, by batches where something does."""
        waiting = [host for host in self._hosts if host.waiting]
        for host in waiting:
            if self._ended_early or (host.asking and not host.asking.changes):
                host.release(go=not self._ended_early)
        if self._ended_early or any(host.ended is None for host in self._batch):
            return
        if not any(host.looking for host in self._hosts):
            self._next_batch([host for host in waiting if host.waiting])

    def _next_batch(self, waiting: list[HostProcess]) -> None:
        """Release the next batch. The first one is the gate alone, which may have been let go already."""
        self._batch = (waiting[: self._size] or self._batch) if self._batch else self._hosts[:1]
        for host in self._batch:
            if host.waiting:
                host.release(go=True)
