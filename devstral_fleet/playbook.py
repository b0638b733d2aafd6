"""ansible-playbook: the command as a value, and the one place that runs it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from devstral_fleet import project
from devstral_fleet.errors import DependencyError
from devstral_fleet.playbook_events import (
    PlaybookEvent,
    PlaybookFinished,
    PlaybookOutcome,
    PlayStarted,
    Reader,
    TaskFinished,
    TaskStarted,
)
from devstral_fleet.shell import end_with_the_controller

__all__ = [
    "PlayStarted",
    "PlaybookCommand",
    "PlaybookEvent",
    "PlaybookFinished",
    "PlaybookOutcome",
    "TaskFinished",
    "TaskStarted",
    "run",
]

_END_DEADLINE_S = 10.0
_INTERVAL_S = 0.05


@dataclass(frozen=True)
class PlaybookCommand:
    """One run of a playbook.

    Args:
        playbook: file name in playbooks/ ('deploy.yml') or a path.
        inventories: the site's inventory first, then the run's own; later ones win.
        limit: hosts to work on; () for all that the playbook names.
        check: change nothing. diff: show what changes. forks: hosts at the same time, None for ansible.cfg's.
        extra: more words for ansible-playbook.
    """

    playbook: str
    inventories: tuple[Path, ...]
    limit: tuple[str, ...] = ()
    check: bool = False
    diff: bool = False
    forks: int | None = None
    extra: tuple[str, ...] = ()

    def argv(self) -> tuple[str, ...]:
        """Return the words of the command; paste-ready together with `environment`."""
        words = [str(Path(sys.executable).parent / "ansible-playbook"), str(project.PLAYBOOKS / self.playbook)]
        for inventory in self.inventories:
            words += ["--inventory", str(inventory)]
        if self.limit:
            words += ["--limit", ",".join(self.limit)]
        words += ["--check"] * self.check + ["--diff"] * self.diff
        if self.forks is not None:
            words += ["--forks", str(self.forks)]
        return (*words, *self.extra)

    def environment(self) -> dict[str, str]:
        """Return what is set beside the caller's own environment. Ansible refuses a locale that is not UTF-8."""
        return {
            "ANSIBLE_CONFIG": str(project.ROOT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.jsonl",
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
        }


def run(
    command: PlaybookCommand,
    *,
    log: Path,
    on_event: Callable[[PlaybookEvent], None],
    cwd: Path = project.ROOT,
    environment: Mapping[str, str] | None = None,
) -> PlaybookOutcome:
    """Run a playbook and hand over its events as they come.

    Args:
        log: file (0600) that gets Ansible's events as JSONL; its errors go beside it, as `<log>.stderr`.
        environment: more variables, such as a proxy; they win over the command's own.

    Raises:
        DependencyError: ansible-playbook is missing. KeyboardInterrupt: after all its processes are gone.
    """
    reader = Reader()
    stderr = log.with_name(log.name + ".stderr")
    variables = {**os.environ, **command.environment(), **(environment or {})}
    with _private(log) as lines, _private(stderr) as errors:
        process = _start(command.argv(), cwd, variables, errors)
        try:
            _stream(process, lines, reader, on_event)
            exit_status = process.wait()
        finally:
            end(process)
    text = tuple(stderr.read_text(errors="replace").splitlines())
    return PlaybookOutcome(command.playbook, exit_status, reader.hosts, tuple(reader.tasks), text)


def end(process: subprocess.Popen[str], deadline_s: float = _END_DEADLINE_S) -> None:
    """End a process and everything below it: asked first, made to when the deadline passes.

    Ansible's workers lead sessions of their own, so the process group alone would leave the host's commands running.
    """
    if process.poll() is not None:
        return
    family = {process.pid, *_below(process.pid)}
    _signal(family, signal.SIGTERM)
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline and (process.poll() is None or any(map(_runs, family))):
        family |= _below(process.pid)
        time.sleep(_INTERVAL_S)
    _signal(family, signal.SIGKILL)
    process.wait()


def _start(argv: tuple[str, ...], cwd: Path, environment: Mapping[str, str], errors: IO[str]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=end_with_the_controller,
        )
    except FileNotFoundError as error:
        raise DependencyError(f"{argv[0]} is missing", fix="make setup") from error


def _stream(
    process: subprocess.Popen[str], log: IO[str], reader: Reader, on_event: Callable[[PlaybookEvent], None]
) -> None:
    for line in process.stdout or ():
        log.write(line)
        for event in reader.read(line):
            on_event(event)


def _private(path: Path) -> IO[str]:
    """Open a log that only its owner reads; a repeated playbook appends to it."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w")


def _below(pid: int) -> set[int]:
    """Return the processes below `pid`, children of children too."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found.update(children)
        waiting += children
    return found


def _signal(processes: set[int], number: signal.Signals) -> None:
    for pid in processes:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def _runs(pid: int) -> bool:
    """Tell whether the process runs; a zombie that waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
