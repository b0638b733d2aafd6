"""lab.up and lab.down, as a person uses them: hosts with an engine of their own, and nothing left afterwards."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstral_fleet import lab as labs
from tests.support.fleet import INVOKE, Running, succeeded, until
from tests.support.host_container import HostContainer, HostLab
from tests.support.lab_operator import Operator
from tests.support.tiny_image import tiny_image

ENGINE_S = 30.0


@pytest.fixture(scope="module")
def operator(lab: HostLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The tests' own lab has a host meanwhile: two labs live side by side."""
    lab.hosts(1)
    here = Operator(lab.client, labs.Lab(tmp_path_factory.mktemp("operator") / "lab"))
    yield here
    succeeded(here.invoke("lab.down", "--keep-image"))


@pytest.fixture(scope="module")
def host(operator: Operator) -> HostContainer:
    succeeded(operator.invoke("lab.up", "--hosts", "1"))
    return operator.host("lab01")


def test_a_host_lets_its_user_in_who_may_become_root(host: HostContainer) -> None:
    assert host.root("id", "-un") == "root"
    assert host.root("cat", "/proc/1/comm") == "systemd"
    assert host.root("systemctl", "is-system-running", "--wait") == "running"


def test_its_own_engine_runs_a_container_with_a_published_port(host: HostContainer, tmp_path: Path) -> None:
    assert host.root("docker", "info", "--format", "{{.Driver}} {{.Name}}") == "overlay2 lab01"
    host.load_image(tiny_image(tmp_path), "tiny:1")
    host.root("docker", "run", "--detach", "--restart=always", "--publish=127.0.0.1:8080:80", "tiny:1", "serve")

    def answers() -> bool:
        return host.ssh("python3", "-c", shown).stdout == "served\n"

    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/word', timeout=2).read().decode())"
    shown = f'"{ask}"'
    until(answers, ENGINE_S, "the published port answers")
    host.reboot()
    until(answers, ENGINE_S, "the published port answers after a reboot")


def test_the_inventory_is_one_that_verbs_read(operator: Operator, host: HostContainer) -> None:
    ready = operator.invoke("doctor", f"--inventory={operator.lab.inventory}", "--host=lab")
    assert succeeded(ready).stdout.count("lab01") == len(ready.stdout.splitlines())
    assert f"{host.name}  ready for a deploy" in ready.text


def test_up_again_changes_nothing_and_more_hosts_are_added(operator: Operator, host: HostContainer) -> None:
    written = operator.lab.inventory.stat()
    again = succeeded(operator.invoke("lab.up", "--hosts", "1", "--json")).document
    assert again["started"] == []
    assert again["hosts"] == {"lab01": {"address": host.address, "port": host.port}}
    assert operator.lab.inventory.stat() == written

    more = succeeded(operator.invoke("lab.up", "--hosts", "2", "--json")).document
    assert (more["started"], list(more["hosts"])) == (["lab02"], ["lab01", "lab02"])
    assert operator.host("lab01").container.id == host.container.id


def test_a_host_that_was_ended_or_left_half_made_is_whole_again(operator: Operator, host: HostContainer) -> None:
    host.container.kill()
    operator.host("lab02").known_hosts.unlink()
    assert succeeded(operator.invoke("lab.up", "--hosts", "2", "--json")).document["started"] == ["lab01", "lab02"]
    assert operator.host("lab01").container.id == host.container.id
    assert [operator.host(name).ssh("hostname").stdout for name in ("lab01", "lab02")] == ["lab01\n", "lab02\n"]


def test_down_leaves_nothing_and_the_other_lab_as_it_was(operator: Operator, host: HostContainer, lab: HostLab) -> None:
    assert operator.left()
    ended = succeeded(operator.invoke("lab.down"))

    assert operator.left() == []
    assert "lab01, lab02" in ended.text
    assert "another lab's hosts are made of it" in ended.text
    assert lab.hosts(1)[0].ssh("true").returncode == 0
    gone = subprocess.run(host.ssh_argv("true"), capture_output=True, text=True)
    assert gone.returncode == 255


def test_without_an_engine_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    monkeypatch.setenv("FLEET_LAB", str(tmp_path / "lab"))
    refused = Running([str(INVOKE), "lab.up"], os.environ).end()
    assert refused.exit_code == 2
    assert "the lab needs a Docker engine on this machine" in refused.stderr
    assert "fix: " in refused.stderr
