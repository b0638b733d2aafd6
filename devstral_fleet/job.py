"""Programs that run on a host by themselves: they survive a dropped connection, and can be asked and ended later.

A job is a directory: `pid` (process group, and its start time), `rc` (exit status, appears whole when it has ended),
`stdout`, `stderr`, and what the program writes. Secrets are read on the host, from files, into its environment.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

from pydantic import ValidationError

from devstral_fleet.errors import UnreachableError, VerificationError
from devstral_fleet.model import Value
from devstral_fleet.redact import redact
from devstral_fleet.shell import CommandResult, Shell

INTERVAL_S = 1.0
TAIL_BYTES = 8192
PATIENCE_S = 60.0
"""How long a host may be unreachable while a job is waited for; the job itself does not notice."""
EVIDENCE_LINES = 20

# Runs on the host. The keeper is the leader of a new session: it writes `rc` when the program ends, and a signal to the
# group reaches the program, not the keeper (its handlers do nothing, and a new program does not inherit handlers).
_START = r"""
import json, os, pathlib, signal, subprocess, sys
job = json.load(sys.stdin)
folder = pathlib.Path(job["directory"])
secrets = {name: pathlib.Path(path).read_text().strip() for name, path in job["secret_environment"].items()}
secrets.update(job["secrets"])
os.umask(0o077)
folder.mkdir(parents=True, exist_ok=True)
for old in ("pid", "rc"):
    (folder / old).unlink(missing_ok=True)
def written(name, text):
    partial = folder / ("." + name)
    partial.write_text(text)
    partial.replace(folder / name)
ready, tell = os.pipe()
if os.fork():
    os.close(tell)
    sys.stdout.write(os.read(ready, 64).decode())
    sys.exit()
os.setsid()
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda *_: None)
out, err = (open(folder / name, "wb") for name in ("stdout", "stderr"))
null = os.open(os.devnull, os.O_RDWR)
for number in (0, 1, 2):
    os.dup2(null, number)
started = pathlib.Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]
written("pid", "%d %s\n" % (os.getpid(), started))
os.write(tell, b"%d" % os.getpid())
os.close(tell)
try:
    rc = subprocess.call(job["argv"], cwd=folder, env={**os.environ, **job["environment"], **secrets},
                         stdin=null, stdout=out, stderr=err)
except OSError as error:
    err.write(("%s\n" % error).encode())
    rc = 127
err.close()
written("rc", "%d\n" % (rc if rc >= 0 else 128 - rc))
"""
_POLL = r"""
import json, pathlib, sys, time
folder, size, until = pathlib.Path(sys.argv[1]), int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
def text(name):
    try:
        return (folder / name).read_text()
    except OSError:
        return ""
def tail(name):
    try:
        with open(folder / name, "rb") as file:
            file.seek(max(0, file.seek(0, 2) - size))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
pid, started = (text("pid").split() + ["0", "0"])[:2]
def living():
    try:
        stat = pathlib.Path("/proc/%s/stat" % pid).read_text().rsplit(")", 1)[1].split()
        return stat[19] == started and stat[0] != "Z"
    except OSError:
        return False
alive = living()
while alive and not text("rc") and time.monotonic() < until:
    time.sleep(0.02)
    alive = living()
rc = text("rc").strip()
print(json.dumps({"running": alive and not rc, "exit_status": int(rc) if rc else None,
                  "stdout_tail": tail("stdout"), "stderr_tail": tail("stderr")}))
"""
_KILL = r"""
import os, pathlib, signal, sys, time
grace_s, folders = float(sys.argv[1]), [pathlib.Path(path) for path in sys.argv[2:]]
def members(folder, pid, started):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            stat = (path / "stat").read_text().rsplit(")", 1)[1].split()
            words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        ours = stat[2] == pid and (path.name != pid or stat[19] == started)
        # In a container the program is in no group of ours; that it names a file of the job tells it.
        inside = any(word.startswith(str(folder) + "/") for word in words)
        if stat[0] != "Z" and (ours or inside):
            found.append(int(path.name))
    return found
def end(folder):
    job = (folder, *(folder / "pid").read_text().split())
    def send(number):
        for member in members(*job):
            try:
                os.kill(member, number)
            except ProcessLookupError:
                pass
    send(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while members(*job) and time.monotonic() < deadline:
        time.sleep(0.02)
    send(signal.SIGKILL)
    if not (folder / "rc").exists():
        (folder / ".rc").write_text("137\n")
        (folder / ".rc").replace(folder / "rc")
for folder in folders:
    end(folder)
"""
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

    Raises:
        VerificationError: it could not be started; a secret's file is missing, say.
    """
    description = {
        **{"directory": str(directory), "argv": list(argv), "environment": dict(environment)},
        "secret_environment": {name: str(path) for name, path in secret_environment.items()},
        "secrets": dict(secrets or {}),
    }
    result = shell.run(["python3", "-I", "-c", _START], stdin=json.dumps(description))
    if not result.ok or not result.stdout.isdigit():
        raise _failed(shell, f"the job in {directory} could not be started", result)
    return Job(directory=str(directory), pid=int(result.stdout))


def poll(shell: Shell, job: Job, *, hold_s: float = 0.0) -> JobState:
    """Look at a job once.

    Args:
        hold_s: how long the look waits, on the host, for a job that still runs; its end is seen at once.

    Raises:
        VerificationError: the look itself failed.
    """
    words = ["python3", "-I", "-c", _POLL, job.directory, str(TAIL_BYTES), f"{hold_s:g}"]
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
    words = ["python3", "-I", "-c", _KILL, f"{grace_s:g}", *directories]
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
