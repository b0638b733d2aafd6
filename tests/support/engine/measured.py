"""A host of this machine whose engine is one of the tests': what `bench` measures, without a deploy before it."""

import sys
from pathlib import Path

from devstral_fleet.console import Console
from devstral_fleet.facts import ServiceFacts
from devstral_fleet.intent import HostIntent
from devstral_fleet.shell import LocalShell
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Target
from devstral_fleet.workflows.record import HostRecord
from tests.support.engine.planned import plan_of
from tests.support.intents import cpu_host
from tests.support.real_engine import EngineWish, RunningEngine

SERVICE = ServiceFacts(manager="none", state="running", pid=7, detail="")


class EngineHost(Host):
    """Its benchmark runs by this Python, and no service manager keeps its engine."""

    def python(self, *options: str) -> tuple[str, ...]:
        del options
        return (sys.executable,)

    def service(self) -> ServiceFacts:
        return SERVICE


def engine_host(engine: RunningEngine, wish: EngineWish, home: Path, console: Console, **changes: object) -> EngineHost:
    """Return the host that serves `engine`; `changes` replaces fields of its plan."""
    (home / "secrets").mkdir(parents=True)
    (home / "secrets" / "api.key").write_text(engine.api_key + "\n")
    (home / "models").mkdir()
    (home / "models" / engine.model.name).symlink_to(engine.model)
    plan = plan_of(engine, home=str(home), environment=dict(wish.environment or {}), **changes)
    intent: HostIntent = cpu_host(home=str(home), port=engine.port)
    target = Target(intent, plan)
    return EngineHost(target, LocalShell("local"), HostRecord(target, console))
