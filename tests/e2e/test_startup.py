"""A deploy's report shows the start that it made, stage by stage, and the starts before it."""

import json
from typing import Any

import pytest

from tests.support.fleet import Site, succeeded

IN_NO_TIME_S = 0.01


def names(startup: dict[str, Any], source: str) -> list[str]:
    return [stage["name"] for stage in startup["stages"] if stage["source"] == source]


@pytest.mark.soak
def test_a_start_by_stages_beside_the_starts_before_it(replay_site: Site) -> None:
    first = replay_site.report()["hosts"][0]
    startup, stages = first["startup"], first["startup"]["stages"]
    assert names(startup, "toolkit") == ["install", "weights", "first token"]
    assert names(startup, "engine") == ["process", "load", "kv-cache", "warm-up"]
    assert [stage["offset_s"] for stage in stages] == sorted(stage["offset_s"] for stage in stages)
    assert (stages[0]["name"], stages[0]["offset_s"]) == ("install", 0)
    assert 0 < startup["ready_s"] < first["phases"][-1]["offset_s"]
    assert first["earlier_startups"] == []

    audit = replay_site.home / "audit.jsonl"
    entry = json.loads(audit.read_text())
    assert entry["start"]["startup"] == startup
    entry["start"]["startup"]["ready_s"] = IN_NO_TIME_S  # of another controller, whose runs are not here
    with audit.open("a") as log:
        log.write("not JSON\n" + f"{json.dumps(entry)}\n" * 3)
    deployed = succeeded(replay_site.change("another start").invoke("deploy", "--no-bench"))

    second = replay_site.report()["hosts"][0]
    assert names(second["startup"], "toolkit") == ["first token"]
    assert second["startup"]["release"] == second["release"] != first["release"]
    assert [one["ready_s"] for one in second["earlier_startups"][:3]] == [IN_NO_TIME_S] * 3
    assert second["earlier_startups"][3:] == [startup]
    assert [one["state"] for one in second["findings_after"] if one["check"] == "start-slow"] == ["warn"]
    assert "start-slow: ready after" in deployed.stdout
