"""Commands as text for a shell."""

import shlex
from collections.abc import Sequence

NEXT_LINE = " \\\n  "


def lines(words: Sequence[str]) -> str:
    """Write a command with one option a line, as a shell reads it."""
    groups: list[list[str]] = [[]]
    for word in words:
        if word.startswith("--"):
            groups.append([])
        groups[-1].append(shlex.quote(word))
    return NEXT_LINE.join(" ".join(group) for group in groups if group)
