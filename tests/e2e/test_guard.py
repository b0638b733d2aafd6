"""The guard as a real, detached process on a home of the test's own, with its times cut short."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.fleet import ROOT, until

GUARD = ROOT / "playbooks" / "roles" / "service" / "files" / "guard.py"
OLD, NEW, RUN = "20260101T000000Z-old", "20260102T000000Z-new", "run-1"
STALE_S, INTERVAL_S, SWITCH_S, DEADLINE_S = 0.3, 0.02, 0.3, 15.0
LONG_S = 600.0
"""Longer than any test: the guard does not act of its own accord."""


@dataclass
class Home:
    """A home in which NEW serves, OLD is proven, and RUN holds the lock."""

    path: Path

    def make(self) -> "Home":
        for name in (f"releases/{OLD}", f"releases/{NEW}", "lock", "log"):
            (self.path / name).mkdir(parents=True)
        self.link("serving", NEW)
        self.link("current", OLD)
        self.owner(RUN)
        self.beat()
        return self

    def link(self, name: str, release: str) -> None:
        partial = self.path / f".{name}"
        partial.symlink_to(f"releases/{release}")
        partial.replace(self.path / name)

    def target(self, name: str) -> str:
        return (self.path / name).readlink().name

    def owner(self, run: str) -> None:
        (self.path / "lock" / "owner.json").write_text(json.dumps({"run": run}))

    def beat(self) -> None:
        (self.path / "lock" / "heartbeat").touch()

    def guard(self, return_to: str = OLD, *, restart: str = "exit 0", stale_s: float = STALE_S) -> None:
        """Start the guard; it detaches at once. Its service commands write what they were."""
        commands = {"restart": f"echo restart >> {self.commands}; {restart}", "stop": f"echo stop >> {self.commands}"}
        words = [sys.executable, str(GUARD), f"--home={self.path}", f"--release={NEW}", f"--return-to={return_to}"]
        words += [f"--{name}={json.dumps(['sh', '-c', text])}" for name, text in commands.items()]
        words += [f"--run={RUN}", f"--stale-s={stale_s}", f"--interval-s={INTERVAL_S}", f"--switch-s={SWITCH_S}"]
        subprocess.run(words, check=True, timeout=DEADLINE_S)

    @property
    def commands(self) -> Path:
        return self.path / "commands"

    @property
    def log(self) -> str:
        log = self.path / "log" / "guard.log"
        return log.read_text() if log.exists() else ""

    @property
    def acted(self) -> list[str]:
        return self.commands.read_text().split() if self.commands.exists() else []

    def wait_for(self, words: str) -> None:
        until(lambda: words in self.log, DEADLINE_S, f"'{words}' in the guard's log: {self.log}")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").make()


def test_a_dead_controller_gives_the_host_back_to_the_proven_release(home: Home) -> None:
    home.guard()
    home.wait_for("gave back")
    assert home.target("serving") == OLD
    assert home.acted == ["restart"]
    [line] = (home.path / "audit.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert {name: entry[name] for name in ("event", "run", "release", "previous", "who")} == {
        "event": "guard",
        "run": RUN,
        "release": OLD,
        "previous": NEW,
        "who": "guard",
    }
    assert entry["reason"].startswith("the controller was silent for")


def test_with_nothing_to_return_to_the_service_is_stopped(home: Home) -> None:
    home.guard(return_to="")
    home.wait_for("gave back")
    assert home.acted == ["stop"]
    assert home.target("serving") == NEW


def test_a_service_that_does_not_obey_is_asked_again_and_the_audit_says_so(home: Home) -> None:
    home.guard(restart="exit 1")
    home.wait_for("gave back")
    assert home.acted == ["restart"] * 3
    assert "did not obey" in json.loads((home.path / "audit.jsonl").read_text())["reason"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda home: home.link("current", NEW), "ended: the release is proven", id="proven"),
        pytest.param(lambda home: home.link("serving", OLD), "ended: another release serves", id="rolled-back"),
        pytest.param(lambda home: home.owner("run-2"), "ended: run run-2 took over", id="taken-over"),
        pytest.param(
            lambda home: (home.path / "lock").rename(home.path / "lock.gone"), "ended: the lock is gone", id="unlocked"
        ),
    ],
)
def test_it_ends_quietly_when_there_is_nothing_left_to_guard(home: Home, change: object, words: str) -> None:
    assert callable(change)
    home.guard(stale_s=LONG_S)
    home.wait_for("guarding")
    change(home)
    home.wait_for(words)
    assert home.acted == []
    assert not (home.path / "audit.jsonl").exists()


def watch(home: Home, steps: dict[int, Callable[[], None]], *, beats_until_s: int) -> tuple[str, bool]:
    """Run the guard's watch by a clock of its own, one second a look; `steps` happen at their second."""
    now = 0

    def sleep(_seconds: float) -> None:
        nonlocal now
        now += 1
        if now <= beats_until_s:
            os.utime(home.path / "lock" / "heartbeat", (now, now))
        steps.get(now, lambda: None)()

    options = SimpleNamespace(home=home.path, release=NEW, run=RUN, stale_s=20, switch_s=60, interval_s=1)
    result: tuple[str, bool] = runpy.run_path(str(GUARD))["watch"](options, clock=lambda: float(now), sleep=sleep)
    return result


def test_a_living_controller_is_left_alone(home: Home) -> None:
    steps = {500: lambda: home.link("current", NEW)}
    assert watch(home, steps, beats_until_s=500) == ("the release is proven", False)


def test_a_silence_shorter_than_the_limit_is_forgiven(home: Home) -> None:
    beat_again = {19: home.beat, 30: lambda: home.link("current", NEW)}
    assert watch(home, beat_again, beats_until_s=0) == ("the release is proven", False)


def test_armed_before_the_switch_it_waits_for_it(home: Home) -> None:
    home.link("serving", OLD)
    steps = {50: lambda: home.link("serving", NEW)}
    reason, must_return = watch(home, steps, beats_until_s=60)
    assert must_return, reason


def test_a_switch_that_a_dead_controller_left_behind_is_taken_back(home: Home) -> None:
    home.link("serving", OLD)
    steps = {40: lambda: home.link("serving", NEW)}
    reason, must_return = watch(home, steps, beats_until_s=5)
    assert must_return, reason


def test_a_controller_that_died_before_the_switch_leaves_nothing_to_do(home: Home) -> None:
    home.link("serving", OLD)
    home.guard()
    home.wait_for("ended: the controller was silent before the switch")
    assert home.acted == []


def test_it_lives_in_a_session_of_its_own(home: Home) -> None:
    home.guard(stale_s=LONG_S)
    home.wait_for("guarding")
    found = subprocess.run(["pgrep", "-f", f"home={home.path} "], capture_output=True, text=True, timeout=DEADLINE_S)
    [pid] = map(int, found.stdout.split())
    assert os.getsid(pid) != os.getsid(0)
    assert {Path(f"/proc/{pid}/fd/{number}").readlink().name for number in (1, 2)} == {"guard.log"}
    (home.path / "lock").rename(home.path / "lock.gone")
    home.wait_for("ended")
