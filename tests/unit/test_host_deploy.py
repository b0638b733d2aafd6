"""What a deploy does with a host when it fails: the four ways back, and what stands in their way."""

import signal
import time
from pathlib import Path

import pytest

from devstral_fleet.errors import FleetError, PlaybookError, VerificationError
from devstral_fleet.lock import Hold
from devstral_fleet.lock.owner import this_owner
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.host_deploy import Attempt
from tests.support.hosts import host_of, quiet, target

DEAD = VerificationError("local: the engine died", evidence=["its last line"])


class Noted(Converging):
    """Notes what Ansible would be asked for; `broken` is what it would answer."""

    done: list[tuple[str, ...]]
    broken: FleetError | None = None

    def serve(self, release_id: str, event: str, reason: str) -> None:
        self._note("serve", release_id, event, reason)

    def stop(self, reason: str) -> None:
        self._note("stop", reason)

    def _note(self, *words: str) -> None:
        self.done.append(words)
        if self.broken:
            raise self.broken


class Attempted:
    """An attempt on this machine, and what came of it."""

    def __init__(self, *, rollback_to: str = "old", proven: bool = False, keep_failed: bool = False) -> None:
        console, self.said = quiet()
        self.host = host_of(target(), console)
        self.converging = Noted(self.host, RunDirectory(Path("/nowhere")), Path("/nowhere"))
        self.converging.done = []
        self.held = Hold("local", this_owner("run-1", "deploy"), None, time.monotonic)
        self.attempt = Attempt(self.converging, self.held, rollback_to, proven=proven, keep_failed=keep_failed)

    def fails_with(self, error: BaseException) -> BaseException:
        """Let the deploy end so, and return what the run hears of it."""
        with pytest.raises(BaseException) as caught, self.attempt.recovering():  # noqa: PT011 - any, it is compared
            raise error
        return caught.value

    @property
    def outcome(self) -> tuple[str, list[tuple[str, ...]]]:
        return self.host.record.outcome, self.converging.done


def test_the_proven_release_serves_again() -> None:
    attempted = Attempted()
    assert attempted.fails_with(DEAD) is DEAD
    assert attempted.outcome == ("restored", [("serve", "old", "restore", "local: the engine died")])
    assert not attempted.held.left


def test_a_first_release_is_stopped() -> None:
    attempted = Attempted(rollback_to="")
    assert attempted.fails_with(DEAD) is DEAD
    assert attempted.outcome == ("failed", [("stop", "local: the engine died")])


def test_a_first_release_is_left_running_when_that_was_asked_for() -> None:
    attempted = Attempted(rollback_to="", keep_failed=True)
    attempted.fails_with(DEAD)
    assert attempted.outcome == ("failed", [])
    assert "--keep-failed" in attempted.said.getvalue()


def test_what_an_earlier_run_proved_is_left_alone() -> None:
    attempted = Attempted(proven=True)
    attempted.fails_with(DEAD)
    assert attempted.outcome == ("failed", [])
    assert "proven by an earlier run" in attempted.said.getvalue()


def test_a_host_that_another_run_holds_is_left_alone() -> None:
    attempted = Attempted()
    attempted.held.lost_reason = "the lock was taken away while this run was at work"
    attempted.fails_with(DEAD)
    assert attempted.outcome == ("failed", [])
    assert "changes nothing more" in attempted.said.getvalue()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), KeyError("a bug"), SystemExit(1)], ids=repr)
def test_whatever_ends_a_deploy_too_early_is_recovered_from(error: BaseException) -> None:
    attempted = Attempted()
    assert attempted.fails_with(error) is error
    assert attempted.outcome == ("restored", [("serve", "old", "restore", str(error) or "interrupted")])


def test_a_way_back_that_fails_says_both() -> None:
    attempted = Attempted()
    attempted.converging.broken = PlaybookError(host="local", task="switch", reason="no space", evidence=["df"])
    heard = attempted.fails_with(DEAD)
    assert isinstance(heard, PlaybookError)
    assert heard.evidence == ("df", "this was on the way back from: local: the engine died", "its last line")
    assert attempted.host.record.outcome == "failed"
    assert attempted.held.left


def test_an_interrupt_stays_one_where_the_way_back_fails() -> None:
    attempted = Attempted()
    attempted.converging.broken = VerificationError("the old one does not start")
    heard = attempted.fails_with(KeyboardInterrupt())
    assert isinstance(heard, KeyboardInterrupt)
    assert heard.__cause__ is attempted.converging.broken


def test_ctrl_c_does_not_disturb_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    attempted = Attempted()
    note = attempted.converging.serve

    def pressed(release_id: str, event: str, reason: str) -> None:
        signal.raise_signal(signal.SIGINT)
        note(release_id, event, reason)

    monkeypatch.setattr(attempted.converging, "serve", pressed)
    with pytest.raises(KeyboardInterrupt) as caught, attempted.attempt.recovering():
        raise DEAD
    assert attempted.outcome[0] == "restored"
    assert caught.value.__context__ is DEAD
