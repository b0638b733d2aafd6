"""The inventory: patterns and keys from case files, files through the real ansible-inventory, edits as text."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from devstral_fleet import inventory
from devstral_fleet.errors import ConfigurationError, ExitCode, InventoryError
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
    read = result.intent.model_dump()
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


HOSTS = """\
all:
  hosts:
    local:
      ansible_connection: local
      fleet_accelerator: cpu
      fleet_model: devstral-tiny
      fleet_runtime: native
  children:
    nvidia:
      hosts:
        gpu01:
          ansible_host: 192.0.2.1
        gpu02:
          ansible_host: 192.0.2.2
          fleet_gpu_count: 8
      vars:
        fleet_accelerator: nvidia
        fleet_hardware: h100
"""


def _written(folder: Path, text: str) -> Path:
    path = folder / "hosts.yml"
    path.write_text(text)
    return path


def test_load_asks_ansible_and_gives_intents(tmp_path: Path) -> None:
    path = _written(tmp_path, HOSTS)
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "nvidia.yml").write_text("fleet_model: devstral-2\n")
    hosts = inventory.load(path, "nvidia,local")
    assert [(host.name, host.model, host.gpu_count) for host in hosts] == [
        ("gpu01", "devstral-2", 1),
        ("gpu02", "devstral-2", 8),
        ("local", "devstral-tiny", 1),
    ]
    assert hosts[1].connection.address == "192.0.2.2"


def test_load_says_every_problem_of_every_chosen_host_at_once(tmp_path: Path) -> None:
    text = HOSTS.replace("fleet_gpu_count: 8", "fleet_gpu_count: eight").replace("fleet_hardware", "fleet_hardwear")
    with pytest.raises(InventoryError, match="4 problems") as caught:
        inventory.load(_written(tmp_path, text.replace("192.0.2.1", "192.0.2.1\n          fleet_x: 1")), "nvidia")
    assert caught.value.code is ExitCode.CONFIGURATION
    assert "gpu01: unknown key fleet_hardwear (did you mean fleet_hardware?)" in caught.value.evidence
    assert [line.split(":")[0] for line in caught.value.evidence] == ["gpu01", "gpu01", "gpu02", "gpu02"]


def test_a_bad_host_that_was_not_chosen_does_not_matter(tmp_path: Path) -> None:
    path = _written(tmp_path, HOSTS.replace("fleet_gpu_count", "fleet_bogus"))
    assert [host.name for host in inventory.load(path, "local")] == ["local"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("all:\n  hosts:\n    a: [1,\n", r"hosts\.yml:4: malformed YAML: "),
        ("all:\n  hosts:\n   a:\n  b: x: y\n", r"hosts\.yml:4: malformed YAML: "),
        ("all:\n\thosts:\n", r"hosts\.yml:2: malformed YAML: "),
        ("all:\n  hosts:\n    a:\n    a:\n", r"hosts\.yml:4: 'a' stands here a second time"),
        ("- a\n", r"hosts\.yml: "),
    ],
)
def test_malformed_files_say_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InventoryError, match=words) as caught:
        inventory.load(_written(tmp_path, text), "all")
    assert caught.value.fix


def test_malformed_group_variables_say_their_own_file(tmp_path: Path) -> None:
    path = _written(tmp_path, HOSTS)
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("a: b\n c: d\n")
    with pytest.raises(InventoryError, match=r"group_vars/all\.yml:2: malformed YAML"):
        inventory.load(path, "local")


def test_an_ini_inventory_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(
        "[nvidia]\ngpu01 ansible_host=192.0.2.1 fleet_port=31000\n"
        "[nvidia:vars]\nfleet_accelerator=nvidia\nfleet_hardware=h100\n"
    )
    assert inventory.load(path, "gpu01")[0].port == 31000


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


def test_an_added_host_is_loaded_as_it_was_given(tmp_path: Path) -> None:
    path = _written(tmp_path, HOSTS)
    path.chmod(0o640)
    added = inventory.add_host(
        path,
        "gpu07",
        address="fd00::7",
        user="ops",
        port=2222,
        accelerator="nvidia",
        hardware="h200",
        gpu_count=4,
        model="devstral-2",
    )
    assert "gpu07:" in added
    host = inventory.load(path, "gpu07")[0]
    assert (host.connection.address, host.connection.port, host.connection.user) == ("fd00::7", 2222, "ops")
    assert (host.hardware, host.gpu_count, host.model) == ("h200", 4, "devstral-2")
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["hosts.yml"]


def test_a_refused_host_leaves_the_file_alone(tmp_path: Path) -> None:
    path = _written(tmp_path, HOSTS)
    for name, error in (
        ("gpu01", InventoryError),
        ("bad name", ConfigurationError),
        ("10.0.0.1:22", ConfigurationError),
    ):
        with pytest.raises(error):
            inventory.add_host(
                path, name, address="a", user=None, port=22, accelerator="cpu", hardware="cpu", gpu_count=1, model=None
            )
    assert path.read_text() == HOSTS
