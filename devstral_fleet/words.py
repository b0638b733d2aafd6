"""Commands as text for a shell."""

import shlex
from collections.abc import Sequence

from devstral_fleet.intent import Connection

NEXT_LINE = " \\\n  "


def lines(words: Sequence[str]) -> str:
    """Write a command with one option a line, as a shell reads it."""
    groups: list[list[str]] = [[]]
    for word in words:
        if word.startswith("--"):
            groups.append([])
        groups[-1].append(shlex.quote(word))
    return NEXT_LINE.join(" ".join(group) for group in groups if group)


def ssh(at: Connection, command: str) -> str:
    """Write the line that runs a command on a host by the way that the inventory reaches it, to paste."""
    words = ["ssh", "-p", str(at.port)]
    words += ["-i", at.private_key_file] if at.private_key_file else []
    words += ["-o", f"UserKnownHostsFile={at.known_hosts_file}"] if at.known_hosts_file else []
    words.append(f"{at.user}@{at.address}" if at.user else at.address)
    return shlex.join([*words, command])
