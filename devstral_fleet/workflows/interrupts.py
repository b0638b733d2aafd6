"""Ctrl-C while something must be finished."""

import signal
from collections.abc import Iterator
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
    asked: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        console.aside("the host is being brought to a known state; this run ends right after that")

    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = [signal.signal(number, remember) for number in heard]
    try:
        yield
    finally:
        for number, handler in zip(heard, before):
            signal.signal(number, handler)
        if asked:
            raise KeyboardInterrupt
