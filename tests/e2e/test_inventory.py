"""The inventory's files, through the real ansible-inventory."""

from pathlib import Path

import pytest

from devstral_fleet import inventory
from devstral_fleet.errors import ConfigurationError, ExitCode, InventoryError

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
