"""Driving the product as a person does: `.venv/bin/invoke VERB ...` as a process, over a site of the test's own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
INVOKE = Path(sys.executable).with_name("invoke")
DEADLINE_S = 480.0
THIS_MACHINE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


@dataclass(frozen=True)
class Ended:
    """A verb that has ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr

    @property
    def document(self) -> Any:
        """The JSON document of a --json run."""
        return json.loads(self.stdout)


class Running:
    """A verb while it runs. Its lines are read as they come."""

    def __init__(self, argv: list[str], environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._arrived = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.lines), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, into: list[str]) -> None:
        for line in stream:
            with self._arrived:
                into.append(line)
                self._arrived.notify_all()
        with self._arrived:
            self._arrived.notify_all()

    def wait_for(self, words: str, deadline_s: float = DEADLINE_S) -> None:
        """Wait until a line of either stream holds `words`; an end without it fails the test."""
        with self._arrived:
            seen = self._arrived.wait_for(lambda: self._said(words) or self._over(), deadline_s)
            assert seen, f"'{words}' did not come in {deadline_s} s:\n{self.text}"
        assert self._said(words), f"ended without '{words}':\n{self.text}"

    def _said(self, words: str) -> bool:
        return any(words in line for line in (*self.lines, *self.errors))

    def _over(self) -> bool:
        return not any(reader.is_alive() for reader in self._readers)

    @property
    def text(self) -> str:
        return "".join((*self.lines, *self.errors))

    def interrupt(self) -> None:
        """Press Ctrl-C: the whole foreground process group gets SIGINT."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL the controller alone, as an out-of-memory killer does; its children are left to themselves."""
        self.process.kill()

    def end(self, deadline_s: float = DEADLINE_S) -> Ended:
        """Wait for the end; a verb that does not end is killed, so that its lock fails no other test."""
        try:
            code = self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"no end in {deadline_s} s:\n{self.text}")
        for reader in self._readers:
            reader.join(10)
        return Ended(code, "".join(self.lines), "".join(self.errors))


@dataclass
class Site:
    """An inventory with one host whose home, port and engine are the test's own; it is this machine by default.

    `connection` holds Ansible's own keys. `link` and `serving_plan` read this machine's files.
    """

    directory: Path
    home: Path
    port: int
    keys: dict[str, Any] = field(default_factory=dict)
    host: str = "local"
    connection: Mapping[str, Any] = field(default_factory=lambda: THIS_MACHINE)

    @property
    def inventory(self) -> Path:
        return self.directory / "hosts.yml"

    @property
    def runs(self) -> Path:
        return self.directory / "runs"

    def set(self, **keys: Any) -> "Site":
        """Change `fleet_*` keys (None removes one) and write the inventory."""
        self.keys = {name: value for name, value in {**self.keys, **keys}.items() if value is not None}
        self.directory.mkdir(parents=True, exist_ok=True)
        self.inventory.write_text(yaml.safe_dump({"all": {"hosts": {self.host: self.entry()}}}))
        return self

    def entry(self) -> dict[str, Any]:
        """The host's lines of the inventory."""
        return {
            **self.connection,
            "fleet_accelerator": "cpu",
            "fleet_hardware": "cpu",
            "fleet_model": "devstral-tiny",
            "fleet_runtime": "native",
            "fleet_home": str(self.home),
            "fleet_port": self.port,
            **{f"fleet_{name}": value for name, value in self.keys.items()},
        }

    def change(self, mark: str) -> "Site":
        """Ask for another plan, so that the next deploy starts a new release."""
        return self.set(environment={"FLEET_TEST_MARK": mark})

    def environment(self) -> dict[str, str]:
        """The verb's environment: this site, and a python3 that is a program rather than some launcher's script."""
        path = f"{INVOKE.parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "FLEET_INVENTORY": str(self.inventory), "FLEET_RUNS": str(self.runs)}

    def start(self, *words: str) -> Running:
        """Start a verb; `--host` is added where no host is named."""
        named = any(word.startswith(("--host", "--hardware", "--image")) for word in words)
        host = () if named else ("--host", self.host)
        return Running([str(INVOKE), *words, *host], self.environment())

    def invoke(self, *words: str) -> Ended:
        """Run a verb to its end."""
        return self.start(*words).end()

    def report(self) -> dict[str, Any]:
        """The newest run's report."""
        newest = max(self.runs.glob("*/report.json"))
        document: dict[str, Any] = json.loads(newest.read_text())
        return document

    def link(self, name: str) -> str:
        """Release id that a link of the home names; '' where there is none."""
        link = self.home / name
        return link.readlink().name if link.is_symlink() else ""

    def serving_plan(self) -> dict[str, Any]:
        """The plan of the release that `serving` names; {} where nothing serves."""
        release = self.home / "serving" / "release.json"
        plan: dict[str, Any] = json.loads(release.read_text())["plan"] if release.is_file() else {}
        return plan


def succeeded(ended: Ended) -> Ended:
    """Require exit code 0; give the verb back."""
    assert ended.exit_code == 0, ended.text
    return ended


@contextmanager
def site(directory: Path, home: Path | None = None, **keys: Any) -> Iterator[Site]:
    """Give a site whose engine and supervisor are stopped at the end."""
    here = Site(directory, home or directory / "home", free_port()).set(**keys)
    try:
        yield here
    finally:
        stopped = here.invoke("stop")
        assert stopped.exit_code == 0, stopped.text


def until(condition: Callable[[], bool], deadline_s: float, what: str) -> None:
    """Wait for a condition, asking ten times a second."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"not in {deadline_s} s: {what}"
        pause.wait(0.1)
