"""The wait for health: every way an engine comes up or does not, with a clock that only `sleep` moves."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstral_fleet import health
from devstral_fleet.errors import ExitCode, VerificationError
from devstral_fleet.facts import EngineFacts, ServiceFacts
from tests.support.values import ENGINE

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "health.yml").read_text())
LOG = ("line 1", "ValueError: no")


@dataclass
class Clock:
    now_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now_s += max(seconds, 0.001)


def _states(looks: list[list[Any]]) -> Iterator[tuple[ServiceFacts, EngineFacts]]:
    """Each look is [state, pid, HTTP status]; the last one is seen for ever."""
    while True:
        state, pid, status = looks[0]
        service = ServiceFacts(manager="supervisor", state=state, pid=pid, detail=f"engine {state.upper()}")
        engine = ENGINE.model_copy(update={"healthy": status == 200, "health_status": status})
        yield service, engine
        looks = looks[1:] or looks


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_wait(case: dict[str, Any]) -> None:
    clock, states = Clock(), _states(case["looks"])
    seen: list[str] = []

    def wait() -> EngineFacts:
        return health.wait(
            lambda: next(states),
            deadline_s=case.get("deadline_s", 60),
            clock=clock,
            sleep=clock.sleep,
            on_state=lambda service, _engine: seen.append(service.state),
            log_tail=lambda: LOG,
        )

    if "error" not in case:
        assert wait().healthy
        assert seen == [look[0] for look in case["looks"]]
        return
    with pytest.raises(VerificationError, match=case["error"]) as caught:
        wait()
    assert caught.value.code is ExitCode.VERIFICATION
    assert caught.value.evidence[-2:] == LOG
    assert "last seen: service" in caught.value.message
    assert clock.now_s <= case.get("deadline_s", 60) + 0.01


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "lower fleet_context_length"),
        (
            "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.",
            "nothing is left for the KV pool",
        ),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.", "lower fleet_max_total_tokens"),
        ("ValueError: no", "read the log lines below"),
        ("Rank 0 scheduler died during initialization (exit code: -9).", "something killed it outright"),
    ],
)
def test_a_log_that_names_memory_has_its_fix(line: str, remedy: str) -> None:
    clock, states = Clock(), _states([["failed", 0, 0]])
    with pytest.raises(VerificationError) as raised:
        health.wait(lambda: next(states), deadline_s=1, clock=clock, sleep=clock.sleep, log_tail=lambda: (line,))
    assert raised.value.fix.startswith(remedy)


@pytest.mark.parametrize(
    "detail",
    [
        "failed (failed), result oom-kill, its process ended with status 9",
        "activating (auto-restart), result exit-code, its process ended with status 137",
        "engine STARTING; its last end, at 2026-11-27 11:38:05: terminated by SIGKILL; not expected",
    ],
)
def test_a_manager_that_saw_it_killed_has_its_fix(detail: str) -> None:
    clock = Clock()
    service = ServiceFacts(manager="systemd", state="failed", pid=0, detail=detail)
    with pytest.raises(VerificationError) as raised:
        health.wait(lambda: (service, ENGINE), deadline_s=1, clock=clock, sleep=clock.sleep)
    assert raised.value.fix.startswith("something killed it outright")


def test_an_engine_that_kills_itself_after_an_error_is_not_called_killed() -> None:
    clock = Clock()
    service = ServiceFacts(manager="supervisor", state="failed", pid=0, detail="engine EXITED; terminated by SIGKILL")
    said = ("ImportError: no kernels", "Received sigquit from a child process.")
    with pytest.raises(VerificationError) as raised:
        health.wait(lambda: (service, ENGINE), deadline_s=1, clock=clock, sleep=clock.sleep, log_tail=lambda: said)
    assert raised.value.fix.startswith("read the log lines")
