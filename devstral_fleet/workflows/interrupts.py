"""Ctrl-C while something must be finished."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from devstral_fleet.console import Console

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred(console: Console) -> Iterator[None]:
    """Answer Ctrl-C and SIGTERM with a sentence while the context lasts: what runs here must not stop half-way."""
    before = [signal.getsignal(number) for number in SIGNALS]
    for number in SIGNALS:
        signal.signal(number, lambda *_: console.say("the host is being brought back to a known state; a moment"))
    try:
        yield
    finally:
        for number, handler in zip(SIGNALS, before):
            signal.signal(number, handler)
