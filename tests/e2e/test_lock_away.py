"""A held lock whose host is away: for a moment, for too long, at the end, and as it was expected to be."""

import time
from collections.abc import Sequence
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


def test_a_host_that_goes_away_loses_the_lock_after_the_stale_time(layout: HostLayout) -> None:
    clock, heart = Clock(), _Away()
    heart.asked = 1
    shells = iter([LocalShell("gpu01"), heart])
    options = {"clock": clock, "sleep": clock.sleep, "heartbeat_s": 0.01}
    context = hold(layout, "run-1", open=lambda: next(shells), **options)
    held = context.__enter__()
    until(lambda: heart.asked > 3, 10, "the heart beats on")
    assert not held.lost
    clock.now_s += 21
    until(lambda: held.lost, 10, "the heart beats on")
    with pytest.raises(LockedError, match="did not answer for 20 s"):
        context.__exit__(None, None, None)


def test_a_host_that_is_away_at_the_end_does_not_hide_the_result(layout: HostLayout) -> None:
    shells = iter([_Away(), LocalShell("gpu01")])
    with hold(layout, "run-1", open=lambda: next(shells)):
        pass
    assert lock.status(LocalShell(), layout) is not None


def test_a_host_that_is_expected_to_be_away_keeps_its_lock_for_so_long(layout: HostLayout) -> None:
    clock, heart = Clock(), _Away()
    heart.asked = 1
    shells = iter([LocalShell("gpu01"), heart])
    options = {"clock": clock, "sleep": clock.sleep, "heartbeat_s": 0.01}
    context = hold(layout, "run-1", open=lambda: next(shells), **options)
    held = context.__enter__()
    with lock.absence(LocalShell("gpu01"), layout, held, 600):
        heartbeat = Path(layout.lock) / "heartbeat"
        assert 500 < heartbeat.stat().st_mtime - time.time() < 700
        clock.now_s += 600
        asked = heart.asked
        until(lambda: heart.asked > asked + 3, 10, "the heart beats on")
        assert not held.lost
        seen = lock.status(LocalShell("gpu01"), layout)
        assert seen is not None
        assert (seen.run, seen.stale) == ("run-1", False)
        clock.now_s += 21
        until(lambda: held.lost, 10, "it was away for longer")
    assert heartbeat.stat().st_mtime - time.time() < 20
    with pytest.raises(LockedError, match="did not answer for 620 s"):
        context.__exit__(None, None, None)
