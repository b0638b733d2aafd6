"""Options that take a number: anything else is refused with a sentence, where Invoke alone shows a traceback."""

from typing import Any

from invoke import Exit, Task
from invoke.parser import Argument

CONFIGURATION = 2
"""ExitCode.CONFIGURATION, spelled out: this module is loaded for `invoke --list` too."""


class Number(Argument):
    """An option that takes a whole number, 0 or more; 0 means that nothing was said."""

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take the word that follows the option.

        Raises:
            Exit: it is no such number.
        """
        if cast and not (str(value).isascii() and str(value).isdecimal()):
            option = f"--{self.names[0].replace('_', '-')}"
            sentence = f"error: {option} takes a whole number, 0 or more, not '{value}'"
            raise Exit(f"{sentence}\n  fix: write the number after it, as in {option}=1", code=CONFIGURATION)
        super().set_value(value, cast)


class Verb(Task[Any]):
    """A task whose numbers are `Number`s."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Invoke's arguments, with those that take a number replaced."""
        return [_number(one) if one.kind is int else one for one in super().get_arguments(ignore_unknown_help)]


def _number(one: Argument) -> Number:
    return Number(names=one.names, kind=int, default=one.default, help=one.help, attr_name=one.attr_name)
