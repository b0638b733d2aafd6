"""A deploy's report shows the start that it made, stage by stage, and the starts before it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet import Site, site, succeeded

IN_NO_TIME_S = 0.01


def names(startup: dict[str, Any], source: str) -> list[str]:
    return [stage["name"] for stage in startup["stages"] if stage["source"] == source]


@pytest.fixture
def fresh(tmp_path: Path, replay_requirements: Path) -> Iterator[Site]:
    """A site whose first deploy is its only one."""
    with site(tmp_path / "site", engine_requirements=str(replay_requirements)) as here:
        succeeded(here.invoke("deploy"))
        yield here


@pytest.mark.soak
def test_a_start_by_stages_beside_the_starts_before_it(fresh: Site) -> None:
    first = fresh.report()["hosts"][0]
    startup, stages = first["startup"], first["startup"]["stages"]
    assert names(startup, "toolkit") == ["install", "weights", "first token"]
    assert names(startup, "engine") == ["process", "load", "kv-cache", "warm-up"]
    assert [stage["offset_s"] for stage in stages] == sorted(stage["offset_s"] for stage in stages)
    assert (stages[0]["name"], stages[0]["offset_s"]) == ("install", 0)
    assert 0 < startup["ready_s"] < first["phases"][-1]["offset_s"]
    assert first["earlier_startups"] == []

    audit = fresh.home / "audit.jsonl"
    entry = json.loads(audit.read_text())
    assert entry["start"]["startup"] == startup
    entry["start"]["startup"]["ready_s"] = IN_NO_TIME_S  # of another controller, whose runs are not here
    with audit.open("a") as log:
        log.write("not JSON\n" + f"{json.dumps(entry)}\n" * 3)
    deployed = succeeded(fresh.change("another start").invoke("deploy", "--no-bench"))

    second = fresh.report()["hosts"][0]
    assert names(second["startup"], "toolkit") == ["first token"]
    assert second["startup"]["release"] == second["release"] != first["release"]
    assert [one["ready_s"] for one in second["earlier_startups"][:3]] == [IN_NO_TIME_S] * 3
    assert second["earlier_startups"][3:] == [startup]
    assert [one["state"] for one in second["findings_after"] if one["check"] == "start-slow"] == ["warn"]
    assert "start-slow: ready after" in deployed.stdout
