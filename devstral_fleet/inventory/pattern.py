"""Ansible's host patterns, resolved against a known list: names, groups, commas, globs, `!` and `&` (pure)."""

import difflib
import fnmatch
import ipaddress
import re
from collections.abc import Mapping, Sequence

from devstral_fleet.errors import InventoryError

_GLOB = re.compile(r"[*?\[\]]")
_ADDRESS_WITH_PORT = re.compile(r"^\[?[0-9A-Za-z_.:-]+\]?:\d+$")


def select(pattern: str, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names of the hosts that `pattern` means, each once, in the order it names them.

    Args:
        pattern: 'gpu01', 'nvidia', 'gpu01,gpu02', 'gpu*', 'nvidia,!gpu03', 'nvidia,&site_a'; ':' separates too.
        groups: every group's hosts, children included; 'all' holds every host.

    Raises:
        InventoryError: a word of it names nothing, or nothing is left.
    """
    words = split(pattern, groups)
    chosen: dict[str, None] = {}
    for word in words:
        if word[0] not in "!&":
            chosen |= dict.fromkeys(_matches(word, groups))
    if words and all(word[0] in "!&" for word in words):
        chosen = dict.fromkeys(groups["all"])
    for sign in "&!":
        for word in words:
            if word[0] == sign:
                named = set(_matches(word[1:], groups))
                chosen = {host: None for host in chosen if (host in named) == (sign == "&")}
    if not chosen:
        raise InventoryError(f"--host '{pattern}' leaves no host", fix=known(groups))
    return list(chosen)


def split(pattern: str, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Split at commas, and at colons as Ansible does, unless a part is an address, which holds colons itself."""
    words = []
    for part in pattern.split(","):
        word = part.strip()
        whole = word in groups or word in groups["all"] or is_address(word)
        words += [word] if whole else [piece.strip() for piece in word.split(":")]
    return [word for word in words if word]


def is_address(word: str) -> bool:
    """Say whether `word` is an address where a name should be: 10.0.0.1, fd00::1, user@gpu01, gpu01:2222."""
    try:
        ipaddress.ip_address(word.strip("[]"))
    except ValueError:
        return "@" in word or bool(_ADDRESS_WITH_PORT.match(word))
    return True


def known(groups: Mapping[str, Sequence[str]]) -> str:
    """One sentence that lists what there is."""
    named = [group for group in groups if group not in ("all", "ungrouped") and groups[group]]
    hosts = ", ".join(groups["all"]) or "none"
    return f"hosts: {hosts}" + (f"; groups: {', '.join(named)}" if named else "")


def _matches(word: str, groups: Mapping[str, Sequence[str]]) -> list[str]:
    if word in groups:
        return list(groups[word])
    if word in groups["all"]:
        return [word]
    if word.startswith("~"):
        found = [host for host in groups["all"] if re.match(word[1:], host)]
    elif _GLOB.search(word):
        named = [host for group in groups if fnmatch.fnmatchcase(group, word) for host in groups[group]]
        found = [*named, *(host for host in groups["all"] if fnmatch.fnmatchcase(host, word))]
    else:
        raise _unknown(word, groups)
    if not found:
        raise InventoryError(f"no host and no group matches '{word}'", fix=known(groups))
    return found


def _unknown(word: str, groups: Mapping[str, Sequence[str]]) -> InventoryError:
    if is_address(word):
        return _address_given(word)
    near = difflib.get_close_matches(word, [*groups["all"], *groups], n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return InventoryError(f"the inventory has no host and no group '{word}'{hint}", fix=known(groups))


def _address_given(word: str) -> InventoryError:
    user, _, rest = word.rpartition("@")
    port = ""
    try:
        ipaddress.ip_address(rest.strip("[]"))
        address = rest.strip("[]")
    except ValueError:
        address, _, port = rest.partition(":") if rest.count(":") == 1 else (rest, "", "")
    options = (f" --user {user}" if user else "") + (f" --port {port}" if port else "")
    return InventoryError(
        f"'{word}' is an address; --host takes names of the inventory",
        fix=f"add the host once: .venv/bin/invoke init --host gpu01 --address {address}{options}",
    )
