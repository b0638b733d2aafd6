"""Jobs, for real on this machine: they outlive who started them, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from devstral_fleet import job
from devstral_fleet.errors import UnreachableError, VerificationError
from devstral_fleet.job import Job, JobState
from devstral_fleet.shell import CommandResult, LocalShell

SHELL = LocalShell("gpu01")


def start(folder: Path, script: str, **options: Any) -> Job:
    options = {"environment": {}, "secret_environment": {}, **options}
    return job.start(SHELL, str(folder), ["sh", "-c", script], **options)


def finish(started: Job) -> JobState:
    return job.wait(SHELL, started, deadline_s=30, clock=time.monotonic, sleep=_pause)


def _pause(_seconds: float) -> None:
    """Look again soon; waiting whole seconds is for real hosts."""
    threading.Event().wait(0.01)


def test_output_exit_status_and_files(tmp_path: Path) -> None:
    started = start(tmp_path / "job", "pwd; echo no >&2; exit 3")
    state = finish(started)
    assert (state.running, state.exit_status, state.ok, state.vanished) == (False, 3, False, False)
    assert (state.stdout_tail, state.stderr_tail) == (f"{tmp_path}/job\n", "no\n")
    assert started.path("stdout") == f"{tmp_path}/job/stdout"
    assert (tmp_path / "job" / "rc").read_text() == "3\n"
    assert (tmp_path / "job").stat().st_mode & 0o777 == 0o700
    assert int((tmp_path / "job" / "pid").read_text().split()[0]) == started.pid


def test_the_environment_and_a_secret_that_is_in_no_argv(tmp_path: Path) -> None:
    (tmp_path / "api.key").write_text("geheim-4711\n")
    script = 'echo "$PLAIN $KEY"; cat /proc/[0-9]*/cmdline | tr "\\0" " " > cmdlines'
    started = start(
        tmp_path / "job", script, environment={"PLAIN": "it's"}, secret_environment={"KEY": tmp_path / "api.key"}
    )
    assert finish(started).stdout_tail == "it's geheim-4711\n"
    assert "geheim-4711" not in (tmp_path / "job" / "cmdlines").read_text()


def test_a_job_runs_on_when_its_starter_is_killed(tmp_path: Path) -> None:
    """The whole group of the shell that started it is killed, as a dropped connection does."""
    os.mkfifo(tmp_path / "go")
    program = (
        "import os, signal; from devstral_fleet import job; from devstral_fleet.shell import LocalShell;"
        f"job.start(LocalShell(), '{tmp_path}/job', ['sh', '-c', 'cat ../go; echo done'],"
        " environment={}, secret_environment={}); os.killpg(0, signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", program], start_new_session=True, check=False, cwd=Path.cwd())
    assert died.returncode == -signal.SIGKILL
    started = Job(directory=f"{tmp_path}/job", pid=int((tmp_path / "job" / "pid").read_text().split()[0]))
    assert job.poll(SHELL, started).running
    (tmp_path / "go").write_text("gone on\n")
    assert finish(started).stdout_tail == "gone on\ndone\n"


def test_progress_is_told_until_the_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    started = start(tmp_path / "job", "echo half; cat ../go")
    seen: list[JobState] = []

    def on_progress(state: JobState) -> None:
        seen.append(state)
        if state.running and state.stdout_tail == "half\n" and not (tmp_path / "told").exists():
            (tmp_path / "told").touch()
            (tmp_path / "go").write_text("whole\n")

    last = job.wait(SHELL, started, deadline_s=30, clock=time.monotonic, sleep=_pause, on_progress=on_progress)
    assert last.ok
    assert seen[-1] == last
    assert any(state.running and state.stdout_tail == "half\n" for state in seen)


def test_the_end_is_seen_when_it_comes_and_not_at_the_next_look(tmp_path: Path) -> None:
    started = start(tmp_path / "job", "sleep 1")
    looks: list[JobState] = []
    began = time.monotonic()
    job.wait(
        SHELL,
        started,
        deadline_s=300,
        clock=time.monotonic,
        sleep=lambda _: pytest.fail("the host waits"),
        on_progress=looks.append,
        interval_s=120,
    )
    assert time.monotonic() - began < 60
    assert len(looks) == 1


def test_kill_ends_the_whole_group_and_says_by_which_signal(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "up")
    started = start(tmp_path / "job", "sleep 600 & echo $! > ../child; echo > ../up; wait")
    (tmp_path / "up").read_text()
    job.kill(SHELL, started)
    state = finish(started)
    assert state.exit_status == 128 + signal.SIGTERM
    assert not running(int((tmp_path / "child").read_text()))
    assert not running(started.pid)


def test_clear_ends_what_runs_and_leaves_no_file(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    ended = start(jobs / "ended", "echo secret > result.jsonl")
    finish(ended)
    os.mkfifo(tmp_path / "up")
    runs = start(jobs / "runs", "echo > ../../up; sleep 600")
    (tmp_path / "up").read_text()

    job.clear(SHELL, str(jobs))

    assert not running(runs.pid)
    assert list(jobs.iterdir()) == []


def test_clear_of_a_host_without_jobs_does_nothing(tmp_path: Path) -> None:
    job.clear(SHELL, str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_kill_ends_a_program_that_ignores_the_first_signal(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "up")
    started = start(tmp_path / "job", "trap '' TERM; echo > ../up; while :; do sleep 0.05; done")
    (tmp_path / "up").read_text()
    job.kill(SHELL, started, grace_s=0.2)
    assert finish(started).exit_status == 128 + signal.SIGKILL
    assert not running(started.pid)


def test_kill_leaves_an_ended_job_as_it_is(tmp_path: Path) -> None:
    started = start(tmp_path / "job", "exit 0")
    assert finish(started).ok
    job.kill(SHELL, started)
    assert job.poll(SHELL, started).ok


def test_a_job_that_vanished_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "up")
    started = start(tmp_path / "job", "echo last words >&2; echo > ../up; sleep 600")
    (tmp_path / "up").read_text()
    os.killpg(started.pid, signal.SIGKILL)
    until(lambda: not running(started.pid))
    assert job.poll(SHELL, started).vanished
    with pytest.raises(VerificationError, match=r"gpu01: the job in .* vanished") as caught:
        finish(started)
    assert caught.value.evidence == ("last words",)


def test_a_pid_of_before_a_restart_is_not_the_job(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "pid").write_text(f"{os.getpid()} 1\n")
    assert job.poll(SHELL, Job(directory=str(folder), pid=os.getpid())).vanished


def test_the_deadline_kills_the_job(tmp_path: Path) -> None:
    started = start(tmp_path / "job", "exec sleep 600")
    ticks = iter(range(0, 1000, 10))
    with pytest.raises(VerificationError, match="did not end within 25 s; it was killed"):
        job.wait(SHELL, started, deadline_s=25, clock=lambda: next(ticks), sleep=_pause)
    assert not running(started.pid)


class _Flaky(LocalShell):
    """A host that is away for some commands."""

    def __init__(self, away: int) -> None:
        super().__init__("gpu01")
        self.away = away

    def run(self, argv: Sequence[str], **options: Any) -> CommandResult:
        if self.away > 0:
            self.away -= 1
            raise UnreachableError("gpu01 is away")
        return super().run(argv, **options)


def test_a_host_that_is_away_for_a_while_is_asked_again(tmp_path: Path) -> None:
    started = start(tmp_path / "job", "exit 0")
    flaky = _Flaky(away=5)
    assert job.wait(flaky, started, deadline_s=30, clock=time.monotonic, sleep=_pause).ok
    assert flaky.away == 0


def test_a_host_that_stays_away_is_unreachable(tmp_path: Path) -> None:
    started = start(tmp_path / "job", "exit 0")
    ticks = iter(range(0, 10000, 7))
    with pytest.raises(UnreachableError):
        job.wait(_Flaky(away=1000), started, deadline_s=3600, clock=lambda: next(ticks), sleep=_pause)


class _Answerless(LocalShell):
    """A host whose first answer is lost: what it was told, it did."""

    def __init__(self) -> None:
        super().__init__("gpu01")
        self.lost = False

    def run(self, argv: Sequence[str], **options: Any) -> CommandResult:
        done = super().run(argv, **options)
        if not self.lost:
            self.lost = True
            raise UnreachableError("gpu01's answer was lost")
        return done


def test_a_start_whose_answer_is_lost_has_started_once(tmp_path: Path) -> None:
    script = ["sh", "-c", "echo started >>../starts; echo done"]
    started = job.start(_Answerless(), str(tmp_path / "job"), script, environment={}, secret_environment={})
    assert finish(started).stdout_tail == "done\n"
    assert (tmp_path / "starts").read_text() == "started\n"


def test_a_start_that_never_came_is_not_taken_for_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "ANSWER_S", 0.1)
    assert finish(start(tmp_path / "job", "exit 0")).ok
    with pytest.raises(UnreachableError):
        job.start(_Flaky(away=1), str(tmp_path / "job"), ["true"], environment={}, secret_environment={})


def test_a_program_that_is_missing_ends_as_in_a_shell(tmp_path: Path) -> None:
    started = job.start(SHELL, str(tmp_path / "job"), ["no-such-program"], environment={}, secret_environment={})
    state = finish(started)
    assert state.exit_status == 127
    assert "no-such-program" in state.stderr_tail


@pytest.mark.parametrize("missing", ["secret", "directory"])
def test_a_job_that_cannot_start_says_why(tmp_path: Path, missing: str) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / ("file/job" if missing == "directory" else "job")
    secrets = {"KEY": tmp_path / "no.key"} if missing == "secret" else {}
    with pytest.raises(VerificationError, match="could not be started") as caught:
        start(folder, "true", secret_environment=secrets)
    assert "no.key" in caught.value.message if missing == "secret" else "Not a directory" in caught.value.message


def test_only_the_end_of_long_output_is_fetched(tmp_path: Path) -> None:
    state = finish(start(tmp_path / "job", "yes 123456789 | head -n 100000; printf end"))
    assert len(state.stdout_tail) == job.TAIL_BYTES
    assert state.stdout_tail.endswith("123456789\nend")


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(done: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Wait for another process; the pause only yields the processor."""
    deadline = time.monotonic() + deadline_s
    while not done():
        assert time.monotonic() < deadline, "it never happened"
        _pause(0)
