"""A deploy over several hosts: the gate, batches, a fleet that fails in half, Ctrl-C and SIGKILL in the middle."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import Running, succeeded, until
from tests.support.several import SeveralHosts, several

GUARD_S = 60.0
BROKEN = {"REPLAY_FAULT": "die_at_start"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, replay_requirements: Path) -> Iterator[SeveralHosts]:
    """Four hosts on which one release is proven; the tests of this module share them."""
    with several(tmp_path_factory.mktemp("four"), 4, engine_requirements=str(replay_requirements)) as here:
        deployed = here.invoke("deploy", "--no-bench", "--batch", "3")
        assert deployed.exit_code == 0, deployed.text
        assert set(here.outcomes().values()) == {"deployed"}
        yield here


@pytest.fixture
def fleet(shared: SeveralHosts) -> SeveralHosts:
    """The shared hosts as the test before left them: each serves what was proven there."""
    assert shared.proven()
    assert all(shared.links("current"))
    return shared


def changed(fleet: SeveralHosts, mark: str, *broken: str) -> SeveralHosts:
    """Ask every host for another release; on the hosts that are named it is no good."""
    for member in fleet.members:
        member.set(environment={"FLEET_TEST_MARK": mark, **(BROKEN if member.host in broken else {})})
    return fleet.write()


def events(fleet: SeveralHosts) -> list[dict[str, str]]:
    """What the newest run said, from its events.jsonl."""
    text = max(fleet.runs.glob("*/events.jsonl")).read_text()
    return [json.loads(line) for line in text.splitlines()]


def begun(fleet: SeveralHosts, phase: str) -> list[str]:
    """The hosts in the order in which a phase began on them."""
    return [event["host"] for event in events(fleet) if (event["kind"], event.get("text")) == ("phase", phase)]


def processes(running: Running) -> set[int]:
    """The processes of the controller's session and those that it forked."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == running.process.pid and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


@pytest.mark.soak
def test_hosts_that_serve_already_wait_for_nobody(fleet: SeveralHosts) -> None:
    ended = fleet.invoke("deploy", "--no-bench", "--json")
    assert ended.exit_code == 0, ended.text
    assert {host["host"]: host["outcome"] for host in ended.document["hosts"]} == dict.fromkeys(
        fleet.outcomes(), "unchanged"
    )
    assert "wait" not in {event.get("text") for event in events(fleet)}


def test_check_shows_every_host_and_changes_none(fleet: SeveralHosts) -> None:
    before = fleet.links("serving")
    ended = changed(fleet, "check").invoke("deploy", "--check")
    assert ended.exit_code == 0, ended.text
    assert set(fleet.outcomes().values()) == {"checked"}
    assert fleet.links("serving") == before


def test_a_gate_that_fails_leaves_the_rest_untouched(fleet: SeveralHosts) -> None:
    before = fleet.links("serving")
    fleet.hook("on-failure", 'echo "$FLEET_HOST is $FLEET_OUTCOME"')
    ended = changed(fleet, "gate", "h1").invoke("deploy", "--no-bench")
    shutil.rmtree(fleet.hooks)
    assert ended.exit_code == 5, ended.text
    assert "h1 failed and gates the rest; not touched: h2, h3, h4" in ended.stdout
    assert [line for line in ended.stdout.splitlines() if "on-failure:" in line] == ["h1  on-failure: h1 is restored"]
    assert fleet.outcomes() == {"h1": "restored", "h2": "untouched", "h3": "untouched", "h4": "untouched"}
    assert fleet.links("serving") == before
    assert fleet.invoke("lock.status", "--json").document == {"h1": None, "h2": None, "h3": None, "h4": None}


def test_a_batch_that_fails_in_half_is_the_last_one(fleet: SeveralHosts) -> None:
    before = fleet.links("serving")
    ended = changed(fleet, "half", "h3").invoke("deploy", "--no-bench", "--batch", "50%")
    assert ended.exit_code == 5, ended.text
    assert "h3 failed; not touched: h4" in ended.stdout
    assert fleet.outcomes() == {"h1": "deployed", "h2": "deployed", "h3": "restored", "h4": "untouched"}
    assert fleet.proven()
    assert [now == old for now, old in zip(fleet.links("serving"), before, strict=True)] == [False, False, True, True]


def test_the_same_command_goes_on_where_the_rollout_ended(fleet: SeveralHosts) -> None:
    ended = changed(fleet, "half").invoke("deploy", "--no-bench", "--batch", "2")
    assert ended.exit_code == 0, ended.text
    assert fleet.outcomes() == {"h1": "unchanged", "h2": "unchanged", "h3": "deployed", "h4": "deployed"}
    assert set(begun(fleet, "compare")[:2]) == {"h1", "h2"}, "what serves already waits for nobody"


@pytest.mark.soak
def test_every_host_goes_back_at_the_same_time(fleet: SeveralHosts) -> None:
    if not all(fleet.links("previous")):  # the tests before, which leave one, run in another layer
        succeeded(changed(fleet, "second").invoke("deploy", "--no-bench", "--batch", "3"))
    before, now = fleet.links("previous"), fleet.links("current")
    assert all(before)

    ended = fleet.invoke("rollback")

    assert ended.exit_code == 0, ended.text
    said = [(event["kind"], event.get("text"), event["host"]) for event in events(fleet) if "host" in event]
    switched = [said.index(("phase", "switch", member.host)) for member in fleet.members]
    proven = [said.index(("ended", "rolled-back", member.host)) for member in fleet.members]
    assert max(switched) < min(proven)
    assert (fleet.links("serving"), fleet.links("previous")) == (before, now)
    assert fleet.invoke("verify").text.count("which was made from another plan") > len(fleet.members)


def test_a_host_that_is_not_ready_ends_the_rollout_before_the_gate(fleet: SeveralHosts) -> None:
    before = fleet.links("serving")
    changed(fleet, "not-ready")
    fleet.members[2].set(home=str(fleet.directory / "hosts.yml" / "home"))
    ended = fleet.write().invoke("deploy", "--no-bench")
    fleet.members[2].set(home=None)
    assert ended.exit_code != 0
    assert "h3 failed; not touched:" in ended.stdout
    assert fleet.write().links("serving") == before


@pytest.mark.soak
def test_ctrl_c_brings_every_host_back(fleet: SeveralHosts) -> None:
    before = fleet.links("current")
    running = changed(fleet, "ctrl-c").start("deploy", "--no-bench", "--batch", "2")
    running.wait_for("h1  deployed")
    running.wait_for("h2  start")
    running.interrupt()
    ended = running.end()
    assert ended.exit_code == 130, ended.text
    assert fleet.proven()
    assert fleet.links("current")[1:] == before[1:]
    assert fleet.outcomes()["h4"] == "untouched"
    assert fleet.report()["exit_code"] == 130
    assert set(fleet.invoke("lock.status", "--json").document.values()) == {None}


@pytest.mark.soak
def test_a_killed_controller_takes_its_hosts_processes_along(fleet: SeveralHosts) -> None:
    running = changed(fleet, "kill").start("deploy", "--no-bench", "--batch", "3")
    running.wait_for("h2  start")
    running.wait_for("h3  start")
    family = processes(running)
    running.kill()
    running.end()
    assert len(family) >= 4  # the controller, h2, h3 and h4
    until(lambda: not processes(running), GUARD_S, "every process of the run ends")
    until(fleet.proven, GUARD_S, "every host serves what was proven")
    assert set(fleet.invoke("lock.status", "--json").document.values()) == {None}


@pytest.mark.soak
def test_guards_give_back_every_host_of_a_controller_that_is_gone_at_once(fleet: SeveralHosts) -> None:
    running = changed(fleet, "gone").start("deploy", "--no-bench", "--batch", "3")
    running.wait_for("h2  start")
    running.wait_for("h3  start")
    running.process.send_signal(signal.SIGSTOP)  # it collects no child that dies before the last one is found
    for pid in processes(running):
        os.kill(pid, signal.SIGKILL)
    running.end()
    until(fleet.proven, GUARD_S, "the guards bring every host back")
    ended = fleet.invoke("deploy", "--no-bench", "--batch", "4")
    assert ended.exit_code == 0, ended.text
    assert fleet.proven()
