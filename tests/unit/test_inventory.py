"""The inventory: patterns and keys from case files, files through the real ansible-inventory, edits as text."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from devstral_fleet import inventory
from devstral_fleet.errors import ConfigurationError, InventoryError
from devstral_fleet.inventory.edit import with_host
from devstral_fleet.inventory.keys import KEYS, read_intent, ssh_arguments
from devstral_fleet.inventory.pattern import select

CASES = Path(__file__).parent / "cases" / "inventory"
PATTERNS = yaml.safe_load((CASES / "patterns.yml").read_text())
KEY_CASES = yaml.safe_load((CASES / "keys.yml").read_text())


def _named(case: dict[str, Any]) -> str:
    return str(case.get("name", case.get("pattern")))


@pytest.mark.parametrize("case", PATTERNS["good"], ids=_named)
def test_pattern_selects(case: dict[str, Any]) -> None:
    assert select(case["pattern"], PATTERNS["groups"]) == case["hosts"]


@pytest.mark.parametrize("case", PATTERNS["bad"], ids=_named)
def test_pattern_is_refused_with_its_fix(case: dict[str, Any]) -> None:
    with pytest.raises(InventoryError) as caught:
        select(str(case["pattern"]), PATTERNS["groups"])
    assert case["message"] in caught.value.message
    assert case["fix"] in caught.value.fix


def _variables(case: dict[str, Any]) -> dict[str, object]:
    merged = {**KEY_CASES["base"], **case["variables"]}
    return {key: value for key, value in merged.items() if key not in case.get("without", ())}


@pytest.mark.parametrize("case", KEY_CASES["good"], ids=_named)
def test_keys_become_an_intent(case: dict[str, Any]) -> None:
    result = read_intent("gpu01", _variables(case), Path("hosts.yml"))
    assert result.problems == []
    assert result.intent is not None
    read = result.intent.model_dump(mode="json")
    assert {key: read[key] for key in case["intent"]} == case["intent"]
    connection = case.get("connection", {})
    assert {key: read["connection"][key] for key in connection} == connection


@pytest.mark.parametrize("case", KEY_CASES["bad"], ids=_named)
def test_keys_are_refused_in_sentences(case: dict[str, Any]) -> None:
    result = read_intent("gpu01", _variables(case), Path("hosts.yml"))
    assert sorted(problem.sentence for problem in result.problems) == sorted(case["sentences"])
    for problem, fix in zip(result.problems, case.get("fixes", ())):
        assert problem.fix.startswith(fix)
    assert all(problem.fix for problem in result.problems)


def test_every_key_of_the_intent_can_be_given() -> None:
    assert "model" in KEYS
    assert "name" not in KEYS
    assert "connection" not in KEYS


def test_local_home_is_the_readers_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    variables = {"ansible_connection": "local", "fleet_accelerator": "cpu", "fleet_home": "~/fleet"}
    intent = read_intent("local", variables, Path("hosts.yml")).intent
    assert intent is not None
    assert intent.home == f"{tmp_path}/fleet"


def test_requirements_are_found_beside_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").touch()
    variables = {**KEY_CASES["base"], "fleet_engine_requirements": "locks/engine.lock"}
    intent = read_intent("gpu01", variables, tmp_path / "hosts.yml").intent
    assert intent is not None
    assert intent.engine_requirements == str(tmp_path / "locks/engine.lock")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("-o UserKnownHostsFile=/a", {"userknownhostsfile": "/a"}),
        ("-oUserKnownHostsFile=/a", {"userknownhostsfile": "/a"}),
        ("-o 'ProxyCommand=ssh -W %h:%p b'", {"proxycommand": "ssh -W %h:%p b"}),
        ("-v -C", {}),
    ],
)
def test_ssh_options(text: str, options: dict[str, str]) -> None:
    assert ssh_arguments({"ansible_ssh_common_args": text}) == options


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        ("mine.yml", {"FLEET_INVENTORY": "other.yml"}, "mine.yml"),
        (None, {"FLEET_INVENTORY": "other.yml"}, "other.yml"),
        (None, {}, "inventory/hosts.yml"),
    ],
)
def test_path_is_option_then_variable_then_default(
    tmp_path: Path, option: str | None, environment: dict[str, str], expected: str
) -> None:
    (tmp_path / "inventory").mkdir()
    for name in ("mine.yml", "other.yml", "inventory/hosts.yml"):
        (tmp_path / name).touch()
    assert inventory.resolve_path(option, environment, tmp_path) == tmp_path / expected


def test_a_missing_inventory_says_who_named_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yml \(\$FLEET_INVENTORY\)"):
        inventory.resolve_path(None, {"FLEET_INVENTORY": "none.yml"}, tmp_path)


EDITS: list[tuple[str, str, str | None, str]] = [
    ("no file", "", None, "all:\n  hosts:\n    gpu01:\n      ansible_host: 192.0.2.1\n"),
    ("empty document", "---\n", None, "---\nall:\n  hosts:\n    gpu01:\n      ansible_host: 192.0.2.1\n"),
    ("no hosts yet", "all:\n  hosts:\n", None, "all:\n  hosts:\n    gpu01:\n      ansible_host: 192.0.2.1\n"),
    (
        "comments stay",
        "# top\nall:\n  hosts:  # mine\n    local:\n      a: 1  # one\n    # gpu01:\n    #   b: 2\n  vars:\n    z: 1\n",
        None,
        "# top\nall:\n  hosts:  # mine\n    local:\n      a: 1  # one\n    gpu01:\n      ansible_host: 192.0.2.1\n"
        "    # gpu01:\n    #   b: 2\n  vars:\n    z: 1\n",
    ),
    (
        "wide indent and a block of text",
        "all:\n    hosts:\n        a:\n            b: |\n              one\n              two\n",
        None,
        "all:\n    hosts:\n        a:\n            b: |\n              one\n              two\n"
        "        gpu01:\n          ansible_host: 192.0.2.1\n",
    ),
    (
        "group that has no hosts",
        "all:\n  children:\n    nvidia:\n      vars:\n        q: 1\n# end\n",
        "nvidia",
        "all:\n  children:\n    nvidia:\n      vars:\n        q: 1\n      hosts:\n        gpu01:\n"
        "          ansible_host: 192.0.2.1\n# end\n",
    ),
    (
        "new group",
        "all:\n  hosts:\n    local:\n",
        "nvidia",
        "all:\n  hosts:\n    local:\n  children:\n    nvidia:\n      hosts:\n        gpu01:\n"
        "          ansible_host: 192.0.2.1\n",
    ),
    (
        "group at the top level",
        "nvidia:\n  hosts:\n    a:\n",
        "nvidia",
        "nvidia:\n  hosts:\n    a:\n    gpu01:\n      ansible_host: 192.0.2.1\n",
    ),
]


@pytest.mark.parametrize(("before", "group", "after"), [e[1:] for e in EDITS], ids=[e[0] for e in EDITS])
def test_a_host_is_added_as_text(before: str, group: str | None, after: str) -> None:
    text, added = with_host(before, "gpu01", {"ansible_host": "192.0.2.1"}, group, Path("hosts.yml"))
    assert text == after
    assert added in text
    assert added.splitlines()[-1].strip() == "ansible_host: 192.0.2.1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("all:\n  hosts:\n    gpu01:\n", "has a host 'gpu01' already"),
        ("all:\n  children:\n    x:\n      hosts:\n        gpu01:\n", "has a host 'gpu01' already"),
        ("all:\n  hosts: {}\n", r"hosts\.yml:2: 'hosts' is written in braces"),
        ("all:\n  hosts: null\n", "a shape that a host cannot be added to"),
        ("- a\n", "its top level is not a mapping"),
    ],
)
def test_a_host_is_not_added_where_it_would_spoil_the_file(text: str, words: str) -> None:
    with pytest.raises(InventoryError, match=words):
        with_host(text, "gpu01", {}, None, Path("hosts.yml"))
