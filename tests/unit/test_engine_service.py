"""The service role's script where systemd keeps the engine, told by a systemctl of the test's own.

Where supervisord keeps it, tests/ansible drives a real one.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.fleet import ROOT

SCRIPT = ROOT / "playbooks" / "roles" / "service" / "files" / "engine_service.py"
RELEASE = "20260101T000000Z-aaaaaaaaaaaa"
SYSTEMCTL = """#!/bin/sh
echo "$*" >> calls
[ "$1" = show ] && cat shown
[ "$1" != is-enabled ] || [ -e enabled ]
"""


@dataclass
class Machine:
    """A home, and a systemctl that says what the test tells it and writes down what it was asked."""

    path: Path

    def shown(self, state: str, pid: int) -> None:
        (self.path / "shown").write_text(f"MainPID={pid}\nActiveState={state}\n")

    def serve(self, release: str = RELEASE) -> None:
        (self.path / "releases" / release).mkdir(parents=True)
        (self.path / "releases" / release / "start").touch()
        (self.path / "serving").symlink_to(f"releases/{release}")

    def run(self, action: str, *options: str) -> subprocess.CompletedProcess[str]:
        service = {
            "manager": "systemd",
            "home": str(self.path),
            "release": RELEASE,
            "unit": "engine.service",
            "supervisord": "",
            "configuration": "",
            "socket": "",
            "drain_s": 1,
        }
        words = [sys.executable, str(SCRIPT), action, *options, json.dumps(service)]
        environment = {**os.environ, "PATH": f"{self.path / 'bin'}:{os.environ['PATH']}"}
        return subprocess.run(words, cwd=self.path, env=environment, capture_output=True, text=True, timeout=30)

    @property
    def calls(self) -> list[str]:
        calls = self.path / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    return Machine(tmp_path)


@pytest.fixture
def engine(machine: Machine) -> Iterator[int]:
    """A process that works in the release's directory, as the start script does."""
    machine.serve()
    words = [sys.executable, "-c", "import signal; signal.pause()"]
    process = subprocess.Popen(words, cwd=machine.path / "releases" / RELEASE)
    yield process.pid
    process.kill()
    process.wait()


def test_what_runs_as_planned_has_no_difference(machine: Machine, engine: int) -> None:
    machine.shown("active", engine)
    assert machine.run("compare").stdout == ""


class Answers(BaseHTTPRequestHandler):
    """An endpoint that knows one key."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers["Authorization"] == "Bearer known" else 401)
        self.end_headers()

    def log_message(self, *_words: object) -> None: ...


@pytest.mark.parametrize(("key", "differs"), [("known", False), ("made anew", True)])
def test_an_engine_that_does_not_know_its_key_is_a_difference(
    machine: Machine, engine: int, key: str, differs: bool
) -> None:
    machine.shown("active", engine)
    (machine.path / "secrets").mkdir()
    (machine.path / "secrets" / "auth.header").write_text(f"Authorization: Bearer {key}\n")
    with HTTPServer(("127.0.0.1", 0), Answers) as endpoint:
        plan = {"listen": "127.0.0.1", "port": endpoint.server_port}
        (machine.path / "releases" / RELEASE / "release.json").write_text(json.dumps({"plan": plan}))
        answering = threading.Thread(target=endpoint.handle_request)
        answering.start()
        said = machine.run("compare").stdout
        answering.join()
    assert said == (f"process {engine} was started with another API key\n" if differs else "")


@pytest.mark.parametrize("state", ["failed", "inactive", "deactivating"])
def test_an_engine_that_does_not_run_is_a_difference(machine: Machine, state: str) -> None:
    machine.serve()
    machine.shown(state, 0)
    assert machine.run("compare").stdout == f"the engine is {state}\n"


def test_a_process_of_another_release_is_a_difference(machine: Machine) -> None:
    machine.serve()
    machine.shown("active", os.getpid())
    assert machine.run("compare").stdout == f"process {os.getpid()} does not run {RELEASE}\n"


def test_another_release_in_the_link_is_a_difference(machine: Machine, engine: int) -> None:
    machine.shown("active", engine)
    (machine.path / "serving").unlink()
    (machine.path / "serving").symlink_to("releases/other")
    assert machine.run("compare").stdout == f"serving is other, not {RELEASE}\n"


def test_a_release_that_is_not_there_ends_it(machine: Machine) -> None:
    machine.shown("active", 0)
    done = machine.run("compare")
    assert done.returncode != 0
    assert f"release {RELEASE} is not on this host" in done.stderr
    assert machine.run("compare", "--check").returncode == 0


def test_a_restart_forgets_earlier_failures_first(machine: Machine) -> None:
    assert machine.run("restart").returncode == 0
    assert machine.calls == ["reset-failed engine.service", "restart engine.service"]


def test_a_stop_is_for_good(machine: Machine) -> None:
    machine.shown("active", 1)
    (machine.path / "enabled").touch()
    assert machine.run("stop", "--check").stdout == "stopped and disabled engine.service\n"
    assert "disable --now engine.service" not in machine.calls
    assert machine.run("stop").stdout == "stopped and disabled engine.service\n"
    assert machine.calls[-1] == "disable --now engine.service"


def test_a_stop_of_what_is_stopped_changes_nothing(machine: Machine) -> None:
    machine.shown("inactive", 0)
    assert machine.run("stop").stdout == ""
