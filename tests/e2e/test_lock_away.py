"""A held lock whose host is away: for a moment, for too long, at the end, and as it was expected to be."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from devstral_fleet import lock
from devstral_fleet.errors import LockedError, UnreachableError
from devstral_fleet.layout import HostLayout
from devstral_fleet.shell import CommandResult, LocalShell
from tests.support.fleet import until
from tests.support.locks import Clock, hold


class _Away(LocalShell):
    """A host that goes away after its first command."""

    def __init__(self) -> None:
        super().__init__("gpu01")
        self.asked = 0

    def run(self, argv: Sequence[str], **options: Any) -> CommandResult:
        self.asked += 1
        if self.asked > 1:
            raise UnreachableError("gpu01 is away")
        return super().run(argv, **options)


class Held:
    """A lock whose heart asks a host that went away; it holds while the clock allows."""

    def __init__(self, layout: HostLayout) -> None:
        self.layout, self.clock, self.heart = layout, Clock(), _Away()
        self.heart.asked = 1
        shells = iter([LocalShell("gpu01"), self.heart])
        options = {"clock": self.clock, "sleep": self.clock.sleep, "heartbeat_s": 0.01}
        self._context = hold(layout, "run-1", open=lambda: next(shells), **options)
        self.hold = self._context.__enter__()

    def pass_by(self, seconds: float) -> None:
        """Let time pass, and the heart beat in vain a few times more."""
        self.clock.now_s += seconds
        asked = self.heart.asked
        until(lambda: self.hold.lost or self.heart.asked > asked + 3, 10, "the heart beats on")

    def end(self) -> None:
        self._context.__exit__(None, None, None)

    def absence(self, seconds: float) -> AbstractContextManager[None]:
        return lock.absence(LocalShell("gpu01"), self.layout, self.hold, seconds)


@pytest.fixture
def held(layout: HostLayout) -> Held:
    return Held(layout)


def test_a_host_that_goes_away_loses_the_lock_after_the_stale_time(held: Held) -> None:
    held.pass_by(0)
    assert not held.hold.lost
    held.pass_by(21)
    with pytest.raises(LockedError, match="did not answer for 20 s"):
        held.end()


def test_a_host_that_is_away_at_the_end_does_not_hide_the_result(layout: HostLayout) -> None:
    shells = iter([_Away(), LocalShell("gpu01")])
    with hold(layout, "run-1", open=lambda: next(shells)):
        pass
    assert lock.status(LocalShell(), layout) is not None


def test_a_host_that_is_expected_to_be_away_keeps_its_lock_for_so_long(held: Held) -> None:
    heartbeat = Path(held.layout.lock) / "heartbeat"
    with held.absence(600):
        assert 500 < heartbeat.stat().st_mtime - time.time() < 700
        held.pass_by(600)
        assert not held.hold.lost
        seen = lock.status(LocalShell("gpu01"), held.layout)
        assert seen is not None
        assert (seen.run, seen.stale) == ("run-1", False)
        held.pass_by(21)
    assert heartbeat.stat().st_mtime - time.time() < 20
    with pytest.raises(LockedError, match="did not answer for 620 s"):
        held.end()


def test_a_host_that_is_back_keeps_its_lock_though_the_heart_has_yet_to_learn_it(held: Held) -> None:
    with held.absence(600):
        held.pass_by(600)
    held.pass_by(0)
    assert not held.hold.lost
    held.pass_by(21)
    with pytest.raises(LockedError, match="did not answer for 20 s"):
        held.end()
