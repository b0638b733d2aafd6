"""The deploy lock, for real on this machine: contenders, owners that died, locks that are taken away."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from devstral_fleet import lock
from devstral_fleet.errors import ConfigurationError, ExitCode, LockedError
from devstral_fleet.layout import HostLayout
from devstral_fleet.lock.owner import this_owner
from devstral_fleet.shell import LocalShell
from tests.support.fleet import until
from tests.support.locks import Clock, hold


def heartbeat_age(layout: HostLayout, age_s: float) -> None:
    """Let the heartbeat look that old."""
    then = time.time() - age_s
    os.utime(layout.lock / "heartbeat", (then, then))


def test_the_lock_says_who_since_when_and_why_and_is_gone_afterwards(layout: HostLayout) -> None:
    with hold(layout, "run-1") as held:
        owner = json.loads((Path(layout.lock) / "owner.json").read_text())
        assert (owner["run"], owner["message"], owner["pid"]) == ("run-1", "deploy devstral-2", os.getpid())
        assert owner["since"].endswith("Z")
        assert (Path(layout.lock) / "heartbeat").exists()
        assert not held.lost
        assert held.taken_over is None
        seen = lock.status(LocalShell(), layout)
        assert seen is not None
        assert (seen.run, seen.stale) == ("run-1", False)
    assert lock.status(LocalShell(), layout) is None
    assert not Path(layout.lock).exists()


def test_a_second_run_is_told_who_holds_it_and_what_to_do(layout: HostLayout) -> None:
    with hold(layout, "run-1"), pytest.raises(LockedError) as caught, hold(layout, "run-2"):
        pass
    error = caught.value
    assert error.code is ExitCode.LOCKED
    assert "gpu01: locked by " in error.message
    assert "deploy devstral-2 (run run-1)" in error.message
    assert "--lock-wait" in error.fix
    assert ".venv/bin/invoke lock.release --host gpu01" in error.fix


def test_waiting_ends_when_the_other_run_does(layout: HostLayout) -> None:
    first = hold(layout, "run-1")
    first.__enter__()
    seen: list[str] = []

    def on_wait(owner: lock.LockOwner) -> None:
        seen.append(owner.run)
        if len(seen) == 3:
            first.__exit__(None, None, None)

    with hold(layout, "run-2", wait_s=60, on_wait=on_wait) as held:
        assert held.owner.run == "run-2"
    assert seen == ["run-1"] * 3


def test_waiting_ends_at_its_deadline(layout: HostLayout) -> None:
    clock = Clock()
    with (
        hold(layout, "run-1"),
        pytest.raises(LockedError),
        hold(layout, "run-2", wait_s=4.5, clock=clock, sleep=clock.sleep),
    ):
        pass
    assert 4.5 <= clock.now_s < 5


def test_an_exception_in_the_body_passes_and_the_lock_is_released(layout: HostLayout) -> None:
    with pytest.raises(KeyboardInterrupt), hold(layout, "run-1"):
        raise KeyboardInterrupt
    assert lock.status(LocalShell(), layout) is None


def test_a_lock_that_is_left_stays_and_grows_stale(layout: HostLayout) -> None:
    with hold(layout, "run-1") as held:
        held.leave()
    assert Path(layout.lock).is_dir()
    heartbeat_age(layout, lock.STALE_S + 1)
    with hold(layout, "run-2") as held:
        assert held.taken_over is not None
        assert held.taken_over.run == "run-1"


def test_a_lock_whose_heartbeat_stopped_is_taken_over(layout: HostLayout) -> None:
    left_behind(layout, "run-1", boot_id="another machine")
    heartbeat_age(layout, 15)
    with pytest.raises(LockedError), hold(layout, "run-2"):
        pass
    heartbeat_age(layout, 25)
    with hold(layout, "run-2") as held:
        assert held.taken_over is not None
        assert held.taken_over.run == "run-1"
        assert held.taken_over.heartbeat_age_s >= 25
        assert json.loads((Path(layout.lock) / "owner.json").read_text())["run"] == "run-2"


def test_a_lock_of_a_process_of_this_machine_that_is_gone_is_taken_over_at_once(layout: HostLayout) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    left_behind(layout, "run-1", pid=child.pid, pid_started=lock.owner.started_ticks(child.pid))
    with pytest.raises(LockedError), hold(layout, "run-2"):
        pass
    child.communicate(b"\n")
    with hold(layout, "run-2") as held:
        assert held.taken_over is not None
        assert held.taken_over.gone


def test_a_pid_that_was_given_to_another_process_counts_as_gone(layout: HostLayout) -> None:
    left_behind(layout, "run-1", pid_started=1)
    with hold(layout, "run-2") as held:
        assert held.taken_over is not None


def test_a_process_of_another_machine_or_container_is_not_judged_by_our_pids(layout: HostLayout) -> None:
    left_behind(layout, "run-1", pid=1, pid_started=1, boot_id="another boot")
    with pytest.raises(LockedError), hold(layout, "run-2"):
        pass


@pytest.mark.parametrize("text", ["", "{", '{"run": 1}'])
def test_a_lock_with_a_broken_owner_is_a_lock_until_it_is_stale(layout: HostLayout, text: str) -> None:
    left_behind(layout, "run-1")
    (Path(layout.lock) / "owner.json").write_text(text)
    with pytest.raises(LockedError, match="locked by unknown"), hold(layout, "run-2"):
        pass
    heartbeat_age(layout, 60)
    with hold(layout, "run-2") as held:
        assert held.taken_over is not None


def test_a_directory_without_owner_and_heartbeat_is_judged_by_its_own_age(layout: HostLayout) -> None:
    Path(layout.lock).mkdir(parents=True)
    with pytest.raises(LockedError), hold(layout, "run-2"):
        pass
    then = time.time() - 60
    os.utime(layout.lock, (then, then))
    with hold(layout, "run-2") as held:
        assert held.owner.run == "run-2"


def test_release_takes_it_from_anyone_and_the_holder_learns_it(layout: HostLayout) -> None:
    context = hold(layout, "run-1", heartbeat_s=0.01)
    held = context.__enter__()
    released = lock.release(LocalShell(), layout)
    assert released is not None
    assert released.run == "run-1"
    assert lock.release(LocalShell(), layout) is None
    until(lambda: held.lost, 10, "the heart beats on")
    with pytest.raises(LockedError, match="gpu01: the lock was taken away") as caught:
        context.__exit__(None, None, None)
    assert ".venv/bin/invoke status --host gpu01" in caught.value.fix


def test_a_lost_lock_does_not_release_the_next_owners(layout: HostLayout) -> None:
    first = hold(layout, "run-1", heartbeat_s=0.01)
    held = first.__enter__()
    lock.release(LocalShell(), layout)
    with hold(layout, "run-2"):
        until(lambda: held.lost, 10, "the heart beats on")
        with pytest.raises(LockedError):
            first.__exit__(None, None, None)
        seen = lock.status(LocalShell(), layout)
        assert seen is not None
        assert seen.run == "run-2"


def test_an_exception_of_the_body_is_not_hidden_by_a_lost_lock(layout: HostLayout) -> None:
    context = hold(layout, "run-1", heartbeat_s=0.01)
    held = context.__enter__()
    lock.release(LocalShell(), layout)
    until(lambda: held.lost, 10, "the heart beats on")
    assert not context.__exit__(ZeroDivisionError, ZeroDivisionError(), None), "the caller's own exception goes on"


def test_the_heart_beats(layout: HostLayout) -> None:
    with hold(layout, "run-1", heartbeat_s=0.01):
        heartbeat_age(layout, 600)
        until(lambda: time.time() - (Path(layout.lock) / "heartbeat").stat().st_mtime < 300, 10, "the heart beats on")


def test_a_home_that_cannot_be_made_is_an_error_with_its_fix(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    held = hold(HostLayout.of(f"{tmp_path}/file/home"), "run-1")
    with pytest.raises(ConfigurationError, match="cannot be used") as caught, held:
        pass
    assert "fleet_home" in caught.value.fix


@pytest.mark.parametrize("stale", [False, True], ids=["free", "stale"])
def test_of_many_contenders_exactly_one_wins(layout: HostLayout, *, stale: bool) -> None:
    """Each contender runs the host's own programs in processes of their own, all at the same moment."""
    if stale:
        left_behind(layout, "run-0", pid_started=1)
    count, outcomes = 8, []
    barrier = threading.Barrier(count)

    def contend(number: int) -> None:
        barrier.wait()
        try:
            with hold(layout, f"run-{number}"):
                outcomes.append("won")
                barrier.wait()
        except LockedError:
            outcomes.append("lost")
            barrier.wait()

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(1, count + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost"] * (count - 1) + ["won"]
    assert lock.status(LocalShell(), layout) is None


def left_behind(layout: HostLayout, run: str, **changes: object) -> None:
    """Leave a fresh lock whose owner is this process, unless `changes` says otherwise."""
    owner = this_owner(run, "deploy devstral-2").model_copy(update=changes)
    folder = Path(layout.lock)
    folder.mkdir(parents=True)
    (folder / "owner.json").write_text(owner.model_dump_json())
    (folder / "run").write_text(run)
    (folder / "heartbeat").touch()
