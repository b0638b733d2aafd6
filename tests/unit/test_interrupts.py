"""Ctrl-C while something must be finished."""

import signal

import pytest

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
