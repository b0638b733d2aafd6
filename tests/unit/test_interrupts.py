"""Ctrl-C while something must be finished."""

import io
import os
import signal
from pathlib import Path

import pytest

from devstral_fleet.console import Console
from devstral_fleet.errors import VerificationError
from devstral_fleet.workflows.interrupts import SIGNALS, deferred
from tests.support.hosts import quiet


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupt_takes_effect_at_the_end(number: signal.Signals) -> None:
    console, said = quiet()
    finished: list[int] = []

    def twice() -> None:
        with deferred(console):
            signal.raise_signal(number)
            signal.raise_signal(number)
            finished.append(number)

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert finished == [number]
    assert said.getvalue().count("this run ends right after that") == 2


def test_without_one_nothing_happens() -> None:
    console, said = quiet()
    with deferred(console):
        pass
    assert said.getvalue() == ""


def test_the_handlers_come_back_however_it_ends() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    console, _ = quiet()
    with pytest.raises(VerificationError), deferred(console):
        raise VerificationError("no")
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_an_interrupt_is_not_lost_where_the_context_fails() -> None:
    console, _ = quiet()

    def failing() -> None:
        with deferred(console):
            signal.raise_signal(signal.SIGINT)
            raise VerificationError("the way back failed")

    with pytest.raises(KeyboardInterrupt) as caught:
        failing()
    assert str(caught.value.__context__) == "the way back failed"


def test_an_inner_one_leaves_the_outer_in_force() -> None:
    console, _ = quiet()
    finished: list[str] = []

    def nested() -> None:
        with deferred(console):
            with deferred(console):
                pass
            signal.raise_signal(signal.SIGINT)
            finished.append("outer")

    with pytest.raises(KeyboardInterrupt):
        nested()
    assert finished == ["outer"]


class InterruptedFile(io.RawIOBase):
    """A file whose first write is interrupted by a Ctrl-C."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        self.waits = [signal.SIGINT]

    def fileno(self) -> int:
        return self.descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        if self.waits:
            signal.raise_signal(self.waits.pop())
        return os.write(self.descriptor, bytes(data))  # type: ignore[call-overload]


def test_an_interrupt_in_the_middle_of_a_line_breaks_nothing(tmp_path: Path) -> None:
    console = Console(stdout=io.TextIOWrapper(io.BufferedWriter(InterruptedFile(tmp_path / "out"))))
    finished: list[str] = []

    def way_back() -> None:
        with deferred(console):
            console.say("going back")
            finished.append("back")

    with pytest.raises(KeyboardInterrupt):
        way_back()
    assert finished == ["back"]
    said = (tmp_path / "out").read_text()
    assert "this run ends right after that\n" in said
    assert "going back\n" in said
