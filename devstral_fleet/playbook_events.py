"""What ansible-playbook says, line by line, as typed values (pure). Source: the callback ansible.posix.jsonl."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from devstral_fleet.errors import PlaybookError, UnreachableError

TaskState = Literal["ok", "changed", "skipped", "failed", "unreachable"]
_ENDINGS: Mapping[str, TaskState] = {
    "v2_runner_on_ok": "ok",
    "v2_runner_on_skipped": "skipped",
    "v2_runner_on_failed": "failed",
    "v2_runner_on_unreachable": "unreachable",
}
_EVIDENCE_LINES = 20


@dataclass(frozen=True)
class PlayStarted:
    """A play begins."""

    name: str


@dataclass(frozen=True)
class TaskStarted:
    """A task begins on all its hosts. `role` is '' outside roles."""

    role: str
    task: str


@dataclass(frozen=True)
class TaskFinished:
    """A task ended on one host. `reason` says why it failed; `diff` shows what it changed: text before and after, or
    the lines of a role's own script, one for each change."""

    host: str
    role: str
    task: str
    state: TaskState
    duration_s: float
    reason: str = ""
    diff: str = ""
    began_s: float = 0.0
    """Seconds since 1970 on the controller; 0 where Ansible does not say."""


@dataclass(frozen=True)
class HostCounts:
    """Ansible's own sums for one host."""

    ok: int
    changed: int
    failed: int
    unreachable: int


@dataclass(frozen=True)
class PlaybookFinished:
    """The last line: counts for each host."""

    hosts: Mapping[str, HostCounts]


PlaybookEvent = PlayStarted | TaskStarted | TaskFinished | PlaybookFinished


@dataclass(frozen=True)
class PlaybookOutcome:
    """What a playbook left. `hosts` is empty when Ansible ended before its sums."""

    playbook: str
    exit_status: int
    hosts: Mapping[str, HostCounts]
    tasks: tuple[TaskFinished, ...]
    stderr: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[TaskFinished, ...]:
        """Tasks that ended the work on their host, in the order in which they ended. What a `rescue` caught did not."""
        last = {task.host: task for task in self.tasks if task.state in ("failed", "unreachable")}
        mended = {host for host, counts in self.hosts.items() if not counts.failed and not counts.unreachable}
        return tuple(task for task in self.tasks if last.get(task.host) is task and task.host not in mended)

    @property
    def changed(self) -> int:
        """Changed tasks on all hosts."""
        return sum(counts.changed for counts in self.hosts.values())

    def raise_for_failure(self) -> None:
        """Raise PlaybookError or UnreachableError (a failed task counts more) when not everything went well."""
        for failure in sorted(self.failures, key=lambda task: task.state == "unreachable"):
            raise _error(failure)
        if self.exit_status or not self.hosts:
            reason = next((line for line in self.stderr if "ERROR" in line), "") or _last(self.stderr)
            reason = reason or ("no host was worked on" if not self.exit_status else f"exit status {self.exit_status}")
            raise PlaybookError(
                host=", ".join(self.hosts) or "controller",
                task=self.playbook,
                reason=reason,
                fix="read the run's playbook logs: the paths are in its report",
                evidence=self.stderr[-_EVIDENCE_LINES:],
            )


@dataclass
class Reader:
    """Turns lines into events and keeps what the outcome needs."""

    tasks: list[TaskFinished] = field(default_factory=list)
    hosts: Mapping[str, HostCounts] = field(default_factory=dict)

    def read(self, line: str) -> list[PlaybookEvent]:
        """Return the events of one line; a line that is no event of ours gives none."""
        try:
            event: dict[str, Any] = json.loads(line)
        except ValueError:
            return []
        found = events(event)
        self.tasks.extend(each for each in found if isinstance(each, TaskFinished))
        for each in found:
            if isinstance(each, PlaybookFinished):
                self.hosts = each.hosts
        return found


def events(event: Mapping[str, Any]) -> list[PlaybookEvent]:
    """Return the typed events of one decoded line."""
    name = event.get("_event", "")
    if name == "v2_playbook_on_play_start":
        return [PlayStarted(event["play"]["name"])]
    if name in ("v2_playbook_on_task_start", "v2_playbook_on_handler_task_start"):
        return [TaskStarted(*_role_and_task(event["task"]["name"]))]
    if name == "v2_playbook_on_stats":
        return [PlaybookFinished({host: _counts(counts) for host, counts in event["stats"].items()})]
    if name in _ENDINGS:
        return [_finished(host, result, event["task"], _ENDINGS[name]) for host, result in event["hosts"].items()]
    return []


def _finished(host: str, result: Mapping[str, Any], task: Mapping[str, Any], state: TaskState) -> TaskFinished:
    if state == "ok" and result.get("changed"):
        state = "changed"
    role, name = _role_and_task(task["name"])
    return TaskFinished(
        host=host,
        role=role,
        task=name,
        state=state,
        duration_s=_seconds(task["duration"]),
        reason=reason_of(result) if state in ("failed", "unreachable") else "",
        diff=_changes(result) if state == "changed" else "",
        began_s=datetime.fromisoformat(task["duration"]["start"]).timestamp(),
    )


def reason_of(result: Mapping[str, Any]) -> str:
    """Return why a result failed, one line: the failed item's, the program's last error, or Ansible's message."""
    if "censored" in result:
        return str(result["censored"])
    for item in result.get("results", ()):
        if item.get("failed"):
            return reason_of(item)
    stderr = [line for line in str(result.get("stderr", "")).splitlines() if line.strip()]
    errors = [line for line in stderr if line.startswith("ERROR")]
    if result.get("rc") and stderr:
        return (errors or stderr)[-1].strip()
    return str(result.get("msg", "no reason was given")).strip()


def _changes(result: Mapping[str, Any]) -> str:
    if "censored" in result:
        return ""
    lines = [f"{line}\n" for line in result.get("stdout_lines", ())]
    return _diff(result.get("diff")) or "".join(lines) or str(result.get("msg", ""))


def _diff(diff: object) -> str:
    """Return Ansible's before and after as unified text; one diff or a list of them."""
    if isinstance(diff, list):
        return "".join(map(_diff, diff))
    if not isinstance(diff, dict):
        return ""
    if "prepared" in diff:
        return str(diff["prepared"])
    before, after = (_diff_lines(diff.get(side, "")) for side in ("before", "after"))
    names = (str(diff.get("before_header", "before")), str(diff.get("after_header", "after")))
    return "".join(difflib.unified_diff(before, after, *names))


def _diff_lines(side: object) -> list[str]:
    text = side if isinstance(side, str) else json.dumps(side, indent=1, sort_keys=True)
    return [line if line.endswith("\n") else line + "\n" for line in text.splitlines(keepends=True)]


def _role_and_task(name: str) -> tuple[str, str]:
    role, separator, task = name.partition(" : ")
    return (role, task) if separator else ("", name)


def _seconds(duration: Mapping[str, str]) -> float:
    if "end" not in duration:
        return 0.0
    start, end = (datetime.fromisoformat(duration[side]) for side in ("start", "end"))
    return (end - start).total_seconds()


def _counts(counts: Mapping[str, int]) -> HostCounts:
    return HostCounts(counts["ok"], counts["changed"], counts["failures"], counts["unreachable"])


def _last(lines: tuple[str, ...]) -> str:
    return lines[-1] if lines else ""


def _error(failure: TaskFinished) -> PlaybookError | UnreachableError:
    if failure.state == "unreachable":
        fix = f"look at it with: .venv/bin/invoke doctor --host {failure.host}"
        return UnreachableError(f"{failure.host} cannot be reached: {failure.reason}", fix=fix, host=failure.host)
    return PlaybookError(host=failure.host, task=failure.task, reason=failure.reason)
