"""Verbs that look: every host is asked, and what was measured is what was planned."""

import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.support.fleet import INVOKE, Running, Site
from tests.support.ports import free_port


@pytest.fixture
def two(tmp_path: Path) -> Site:
    """A site whose first host cannot be reached and whose second is this machine, where nothing was deployed."""
    site = Site(tmp_path, tmp_path / "home", free_port()).set()
    inventory = yaml.safe_load(site.inventory.read_text())
    away = {**inventory["all"]["hosts"]["local"], "ansible_connection": "ssh", "ansible_host": "127.0.0.1"}
    inventory["all"]["hosts"] = {"away": {**away, "ansible_port": free_port()}, **inventory["all"]["hosts"]}
    site.inventory.write_text(yaml.safe_dump(inventory, sort_keys=False))
    return site


@pytest.mark.parametrize("verb", ["doctor", "logs", "audit", "lock.status", "lock.release"])
def test_a_host_that_is_away_hides_no_other(two: Site, verb: str) -> None:
    ended = Running([str(INVOKE), verb, "--host", "all", "--json"], two.environment()).end()
    assert ended.exit_code == 3, ended.text
    assert list(ended.document) == ["local"]
    assert "away: 127.0.0.1" in ended.stderr


def test_a_server_that_hangs_up_is_said_in_one_line(two: Site) -> None:
    """As a machine does while it boots, and QEMU for one."""
    inventory = yaml.safe_load(two.inventory.read_text())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        inventory["all"]["hosts"]["away"]["ansible_port"] = listener.getsockname()[1]
        two.inventory.write_text(yaml.safe_dump(inventory))
        threading.Thread(target=_hang_up, args=(listener,), daemon=True).start()
        ended = Running([str(INVOKE), "status", "--host", "away"], two.environment()).end()
    assert ended.exit_code == 3, ended.text
    assert "Traceback" not in ended.text


def _hang_up(listener: socket.socket) -> None:
    with suppress(OSError):  # until it is closed
        while True:
            listener.accept()[0].close()


def test_what_serves_by_another_plan_is_not_measured(proven: Site) -> None:
    proven.change("bench")
    ended = proven.invoke("bench", "--save-baseline")
    assert ended.exit_code == 5, ended.text
    assert "made from another plan" in ended.stderr
    assert proven.report()["hosts"][0]["bench"] == []
    assert not list(proven.directory.glob("baselines/*"))
