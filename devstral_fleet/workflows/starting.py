"""The start that a deploy made: its stages, the earlier ones on the host, and whether it was slow."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from devstral_fleet import audit, startup
from devstral_fleet import catalog as catalogs
from devstral_fleet.playbook_events import PlaybookOutcome
from devstral_fleet.probes import engine_start
from devstral_fleet.startup import PastStart, Stage
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.record import HostRecord

ROLES = {"engine_environment": "install", "image": "image", "model_files": "weights"}
"""Roles of deploy.yml, and the stages that they are where they changed something."""
PHASES = {"build": "image"}
FIRST_ANSWER = "chat"
"""The smoke check that asks for the first answer."""


def remember(host: Host, outcome: PlaybookOutcome) -> None:
    """Put the start that this run made into the record, beside the earlier ones; nothing where it made none.

    Args:
        outcome: of deploy.yml. The host was healthy and passed its smoke checks since.
    """
    if not outcome.changed:
        return
    seen = engine_start.read(host.shell, host.layout, host.service().pid)
    record, now_s = host.record, host.record.now_s
    began_s = now_s - seen.age_s if seen.age_s is not None else -1.0
    ready_s = _end(record, "start") - began_s
    if began_s < 0 or ready_s < 0:  # the process is older than this run, or another one than was healthy
        return
    made = startup.startup(
        record.known.get("release", ""),
        _own_stages(record, outcome, time.time() - now_s),
        startup.engine_stages(seen.log, ready_s, startup.measured(record.known.get("server_info", {}))),
        began_s=began_s,
        ready_s=ready_s,
        zero=datetime.now(UTC) - timedelta(seconds=now_s),
    )
    earlier = startup.history(audit.newest(host.shell, host.layout))
    record.known.update(startup=made, earlier_startups=tuple(start.startup for start in earlier))
    rules = catalogs.load().starts
    record.add("findings_after", startup.slow(PastStart.of(made, host.plan), earlier, rules))


def entry(host: Host) -> dict[str, object]:
    """What the host's audit log keeps of the start that this run made; {} where it made none."""
    made = host.record.known.get("startup")
    return {startup.ENTRY: PastStart.of(made, host.plan).model_dump(mode="json")} if made else {}


def _own_stages(record: HostRecord, outcome: PlaybookOutcome, zero_epoch_s: float) -> tuple[Stage, ...]:
    """Return what we timed, by seconds since this host's run began.

    Args:
        zero_epoch_s: when that was; Ansible's times are of the same clock.
    """
    spans: dict[str, tuple[float, float]] = {}
    for name, begin, end in (*_phases(record), *_tasks(outcome, zero_epoch_s)):
        first, last = spans.get(name, (begin, end))
        spans[name] = min(first, begin), max(last, end)
    stages = [
        Stage(name=name, offset_s=begin, seconds=end - begin, source="toolkit") for name, (begin, end) in spans.items()
    ]
    return (*stages, *_first_answer(record))


def _phases(record: HostRecord) -> Iterator[tuple[str, float, float]]:
    for phase in record.phases:
        if phase.name in PHASES:
            yield PHASES[phase.name], phase.offset_s, phase.offset_s + phase.seconds


def _tasks(outcome: PlaybookOutcome, zero_epoch_s: float) -> Iterator[tuple[str, float, float]]:
    """The tasks of each role that did something; one that found everything in place is no stage."""
    worked = {task.role for task in outcome.tasks if task.state == "changed"} & set(ROLES)
    for task in outcome.tasks:
        if task.role in worked and task.state != "skipped" and task.began_s:
            begin = task.began_s - zero_epoch_s
            yield ROLES[task.role], begin, begin + task.duration_s


def _first_answer(record: HostRecord) -> Iterator[Stage]:
    """Place the first answer: the smoke checks go one after another, and end with their phase."""
    smoke = record.known.get("smoke", ())
    names = [found.check for found in smoke]
    if FIRST_ANSWER not in names or any(found.duration_ms is None for found in smoke):
        return
    rest = [found.duration_ms / 1000 for found in smoke[names.index(FIRST_ANSWER) :]]
    yield Stage(name="first token", offset_s=_end(record, "smoke") - sum(rest), seconds=rest[0], source="toolkit")


def _end(record: HostRecord, name: str) -> float:
    """When the newest phase of that name ended; before everything where there was none."""
    ends = [phase.offset_s + phase.seconds for phase in record.phases if phase.name == name]
    return ends[-1] if ends else -1.0
