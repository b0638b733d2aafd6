"""Ctrl-C while something must be finished, or while others must hear of it."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from devstral_fleet.console import Console

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def deferred(console: Console) -> Iterator[None]:
    """Let nothing interrupt the context: Ctrl-C, SIGTERM and SIGHUP get a sentence, and take effect at its end.

    Raises:
        KeyboardInterrupt: one of them came; an error of the context is then its `__context__`.
    """
    with handed_on(lambda: console.aside("the host is being brought to a known state; this run ends right after that")):
        yield


@contextmanager
def handed_on(hear: Callable[[], None]) -> Iterator[None]:
    """Call `hear` for each interrupt instead of ending the context; it takes effect at the context's end.

    `hear` is called in a signal's handler, in the middle of anything.

    Raises:
        KeyboardInterrupt: as `deferred`.
    """
    asked: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        hear()

    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = [signal.signal(number, remember) for number in heard]
    try:
        yield
    finally:
        for number, handler in zip(heard, before):
            signal.signal(number, handler)
        if asked:
            raise KeyboardInterrupt


def interruptible() -> None:
    """Have every interrupt raise KeyboardInterrupt from now on, but for what nohup ignores."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
