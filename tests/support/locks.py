"""The deploy lock as tests hold it, with a clock that only `sleep` moves."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from devstral_fleet import lock
from devstral_fleet.layout import HostLayout
from devstral_fleet.shell import LocalShell, Shell


class Clock:
    """Time that only `sleep` moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += max(seconds, 0.001)


def hold(
    layout: HostLayout, run: str, *, open: Callable[[], Shell] = lambda: LocalShell("gpu01"), **options: Any
) -> AbstractContextManager[lock.Hold]:
    clock = Clock()
    return lock.hold(
        open, layout, run_id=run, message="deploy devstral-2", **{"clock": clock, "sleep": clock.sleep, **options}
    )
