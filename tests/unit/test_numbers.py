"""Options that take a number."""

import pytest
from invoke import Collection, Exit
from invoke.parser import Parser

from devstral_fleet.cli.numbers import Verb


def parsed(*words: str) -> object:
    """The value that a task with `--lock-wait` gets from these words."""

    def deploy(_context: object, lock_wait: int = 0, host: str = "") -> None: ...

    namespace = Collection(Verb(deploy, name="deploy", auto_shortflags=False))
    found = Parser(contexts=namespace.to_contexts()).parse_argv(["deploy", *words])
    return found[0].args["lock-wait"].value


def test_a_number_is_taken() -> None:
    assert parsed("--lock-wait", "30") == parsed("--lock-wait=30") == 30


def test_nothing_said_is_the_default() -> None:
    assert parsed() == 0


@pytest.mark.parametrize("word", ["abc", "-5", "1.5", "", "٣", "1_0"])
def test_anything_else_is_refused_with_a_sentence(word: str) -> None:
    with pytest.raises(Exit) as refused:
        parsed(f"--lock-wait={word}")
    assert refused.value.code == 2
    assert str(refused.value.message).startswith(f"error: --lock-wait takes a whole number, 0 or more, not '{word}'")
