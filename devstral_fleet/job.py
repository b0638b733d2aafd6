"""Programs that run on a host by themselves: they survive a dropped connection, and can be asked and ended later.

A job is a directory: `start` (the name of its last start), `pid` (process group, and its start time), `rc` (exit
status, appears whole when it has ended), `stdout`, `stderr`, and what the program writes. Secrets are read on the host,
from files, into its environment.
"""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

from pydantic import ValidationError

from devstral_fleet import job_programs
from devstral_fleet.errors import UnreachableError, VerificationError
from devstral_fleet.model import Value
from devstral_fleet.redact import redact
from devstral_fleet.shell import CommandResult, Shell

INTERVAL_S = 1.0
TAIL_BYTES = 8192
PATIENCE_S = 60.0
"""How long a host may be unreachable while a job is waited for; the job itself does not notice."""
EVIDENCE_LINES = 20
ANSWER_S = 5.0
"""How long a start may take to appear on a host where its answer was lost."""

GRACE_S = 5.0


class Job(Value):
    """A started job: where its files are on the host, and the id of its process group."""

    directory: str
    pid: int

    def path(self, name: str) -> str:
        """Path on the host of a file of the job."""
        return str(PurePosixPath(self.directory) / name)


class JobState(Value):
    """What a look at a job found; the tails are at most TAIL_BYTES long, and may hold what the program printed."""

    running: bool
    exit_status: int | None
    """None while it runs, and when it vanished; 128 + N when signal N ended it."""
    stdout_tail: str
    stderr_tail: str

    @property
    def vanished(self) -> bool:
        """Neither running nor ended: killed with its keeper, or the host was restarted."""
        return not self.running and self.exit_status is None

    @property
    def ok(self) -> bool:
        return self.exit_status == 0


def start(
    shell: Shell,
    directory: PurePosixPath | str,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    secret_environment: Mapping[str, PurePosixPath | str],
    secrets: Mapping[str, str] | None = None,
) -> Job:
    """Start a program in a session of its own and return at once.

    Args:
        directory: the job's own directory (0700), made here; the program's working directory.
        environment: added to the host user's own; never a secret.
        secret_environment: variable -> file on the host that holds its value.
        secrets: variable -> value that no file holds; it goes through standard input, and is written nowhere.

    Where the connection is lost meanwhile, the host is asked whether it has started; it is never started twice.

    Raises:
        VerificationError: it could not be started; a secret's file is missing, say.
        UnreachableError: the connection was lost, and the host does not answer, or nothing has started there.
    """
    name = uuid.uuid4().hex
    description = {
        "directory": str(directory),
        "start": name,
        "argv": list(argv),
        "environment": dict(environment),
        "secret_environment": {variable: str(path) for variable, path in secret_environment.items()},
        "secrets": dict(secrets or {}),
    }
    try:
        result = shell.run(["python3", "-I", "-c", job_programs.START], stdin=json.dumps(description))
    except UnreachableError:
        if not (pid := _started(shell, directory, name)):
            raise
        return Job(directory=str(directory), pid=pid)
    if not result.ok or not result.stdout.isdigit():
        raise _failed(shell, f"the job in {directory} could not be started", result)
    return Job(directory=str(directory), pid=int(result.stdout))


def _started(shell: Shell, directory: PurePosixPath | str, name: str) -> int:
    """Return the process of a start whose answer was lost, over a new connection; 0 where nothing started."""
    words = ["python3", "-I", "-c", job_programs.FIND, str(directory), name, f"{ANSWER_S:g}"]
    found = shell.run(words, timeout_s=ANSWER_S + 30)
    return int(found.stdout) if found.ok and found.stdout.isdigit() else 0


def poll(shell: Shell, job: Job, *, hold_s: float = 0.0) -> JobState:
    """Look at a job once.

    Args:
        hold_s: how long the look waits, on the host, for a job that still runs; its end is seen at once.

    Raises:
        VerificationError: the look itself failed.
    """
    words = ["python3", "-I", "-c", job_programs.POLL, job.directory, str(TAIL_BYTES), f"{hold_s:g}"]
    result = shell.run(words, timeout_s=hold_s + 30)
    if not result.ok:
        raise _failed(shell, f"the job in {job.directory} cannot be looked at", result)
    try:
        return JobState.model_validate_json(result.stdout)
    except ValidationError as error:
        raise _failed(shell, f"the job in {job.directory} cannot be read", result) from error


def wait(
    shell: Shell,
    job: Job,
    *,
    deadline_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    on_progress: Callable[[JobState], None] = lambda _state: None,
    interval_s: float = INTERVAL_S,
) -> JobState:
    """Return the job's last state when it has ended, whatever its exit status; a lost connection is taken up again.

    Raises:
        VerificationError: it vanished, or `deadline_s` passed (then it was killed).
        UnreachableError: the host was away for longer than PATIENCE_S, or past the deadline.
    """
    began = reached = clock()
    state: JobState | None = None
    while True:
        try:
            state = poll(shell, job, hold_s=interval_s)
            reached = clock()
        except UnreachableError:
            if clock() - reached > PATIENCE_S or clock() - began > deadline_s:
                raise
            sleep(interval_s)
            continue
        on_progress(state)
        if not state.running:
            return _ended(shell, job, state)
        if clock() - began >= deadline_s:
            kill(shell, job)
            raise _over(
                shell, f"the job in {job.directory} did not end within {deadline_s:.0f} s; it was killed", state
            )


def kill(shell: Shell, job: Job, *, grace_s: float = GRACE_S) -> None:
    """End the job's whole process group: SIGTERM, then SIGKILL after `grace_s`. An ended job is left as it is.

    Raises:
        VerificationError: the job's files are gone.
    """
    _kill(shell, [job.directory], grace_s)


def _kill(shell: Shell, directories: Sequence[str], grace_s: float) -> None:
    words = ["python3", "-I", "-c", job_programs.KILL, f"{grace_s:g}", *directories]
    result = shell.run(words, timeout_s=grace_s * len(directories) + 20)
    if not result.ok:
        raise _failed(shell, f"the job in {' or '.join(directories)} could not be ended", result)


def clear(shell: Shell, jobs: PurePosixPath | str) -> None:
    """End every job below `jobs` that still runs and remove its files: what a benchmark leaves holds secrets.

    Only the holder of the host's lock may call it: nobody else's job is there then, save those of dead controllers.

    Raises:
        VerificationError: a job could not be ended, or its files not removed.
    """
    found = shell.run(["find", str(jobs), "-mindepth", "2", "-maxdepth", "2", "-name", "pid"])
    if directories := [str(PurePosixPath(path).parent) for path in found.stdout.splitlines()]:
        _kill(shell, directories, GRACE_S)
    removed = shell.run(["find", str(jobs), "-mindepth", "1", "-delete"])
    if not removed.ok and "No such file" not in removed.stderr:
        raise _failed(shell, f"the jobs in {jobs} could not be removed", removed)


def _ended(shell: Shell, job: Job, state: JobState) -> JobState:
    if state.vanished:
        reason = "its process is gone and left no exit status: it was killed, or the host was restarted"
        raise _over(shell, f"the job in {job.directory} vanished; {reason}", state)
    return state


def _over(shell: Shell, what: str, state: JobState) -> VerificationError:
    lines = redact(state.stderr_tail or state.stdout_tail).splitlines()[-EVIDENCE_LINES:]
    return VerificationError(f"{shell.host}: {what}", fix="run the verb again", evidence=lines, host=shell.host)


def _failed(shell: Shell, what: str, result: CommandResult) -> VerificationError:
    lines = redact(result.stderr or result.stdout).strip().splitlines()[-EVIDENCE_LINES:]
    reason = lines[-1] if lines else f"python3 ended {result.exit_status}"
    return VerificationError(
        f"{shell.host}: {what}: {reason}", fix="run the verb again", evidence=lines, host=shell.host
    )
