"""A measurement that is broken off."""

from collections.abc import Mapping, Sequence

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.bench.selection import Chosen
from devstral_fleet.errors import UnreachableError, VerificationError
from devstral_fleet.shell import CommandResult, LocalShell
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.measuring import measure, require_same_engine
from devstral_fleet.workflows.record import HostRecord
from tests.support.hosts import quiet, target


class Leaving(LocalShell):
    """A host that is asked to start a job while Ctrl-C is pressed, and is away from then on."""

    pressed = False

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> CommandResult:
        del stdin, environment, timeout_s
        if self.pressed:
            raise UnreachableError("gone")
        if argv[0] == "python3":
            self.pressed = True
            raise KeyboardInterrupt
        return CommandResult(tuple(argv), 0, "manager=none\n" if argv[0] == "sh" else "", "")


def test_an_interrupt_is_not_hidden_by_a_host_that_went_away() -> None:
    console, _ = quiet()
    wanted = target()
    host = Host(wanted, Leaving(), HostRecord(wanted, console))
    workload = catalogs.load().workload(host.plan.smoke_workload)
    with pytest.raises(KeyboardInterrupt):
        measure(host, "run-1", (Chosen(workload, workload.smoke_point),), 1)
    assert host.record.phases[-1].name.startswith("bench")


class Restarted(LocalShell):
    """A host whose supervisord runs the engine as process 7."""

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> CommandResult:
        del stdin, environment, timeout_s
        return CommandResult(tuple(argv), 0, "manager=supervisor\nengine  RUNNING  pid 7, uptime 0:01\npid=7\n", "")


def test_an_engine_that_was_started_again_in_the_benchmark_is_no_proof() -> None:
    console, _ = quiet()
    wanted = target()
    host = Host(wanted, Restarted(), HostRecord(wanted, console))
    require_same_engine(host, 7)
    with pytest.raises(VerificationError, match="died during the benchmark"):
        require_same_engine(host, 6)
