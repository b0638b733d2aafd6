"""A host in a run, for tests of steps: this machine's shell, a console on a text."""

import io
from collections.abc import Callable
from pathlib import Path

from devstral_fleet.console import Console
from devstral_fleet.shell import LocalShell
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Target
from devstral_fleet.workflows.record import HostRecord
from tests.support.intents import cpu_host, planned


def target(home: Path | str = "/srv/fleet") -> Target:
    """The CPU host with its plan."""
    intent = cpu_host(home=str(home))
    return Target(intent, planned(intent))


def quiet() -> tuple[Console, io.StringIO]:
    """A console, and the text that takes all it prints."""
    said = io.StringIO()
    return Console(stdout=said, stderr=said), said


def ticking() -> Callable[[], float]:
    """A clock that goes one second a look."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1.0
        return now

    return clock


def host_of(wanted: Target, console: Console) -> Host:
    """A host of this machine."""
    return Host(wanted, LocalShell(wanted.name), HostRecord(wanted, console, clock=ticking()))
