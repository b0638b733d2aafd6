"""What a deploy and a rollback do, for every state a host can be in."""

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstral_fleet.errors import ConfigurationError
from devstral_fleet.facts import ReleasesFacts, ServiceFacts
from devstral_fleet.releases import decide, rollback_target
from tests.support.values import PLAN, RUNNING, releases

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "releases.yml").read_text())
NOW = datetime(2026, 11, 23, 16, 5, 7, tzinfo=UTC)
NEW = f"20261123T160507Z-{PLAN.digest}"


def _named(case: dict[str, Any]) -> str:
    return str(case["after"])


def _facts(case: dict[str, Any]) -> ReleasesFacts:
    digests = {str(id): PLAN.digest if digest == "p" else digest for id, digest in case["releases"].items()}
    return releases(digests, *map(str, case["links"]))


def _service(state: str) -> ServiceFacts:
    return ServiceFacts.model_validate({**RUNNING.model_dump(), "state": state})


@pytest.mark.parametrize("case", CASES["decide"], ids=_named)
def test_decide(case: dict[str, Any]) -> None:
    decision = decide(PLAN, _facts(case), _service(case["service"]), NOW)
    expected = NEW if case["id"] == "new" else str(case["id"])
    assert (decision.kind, decision.release_id, decision.rollback_to) == (case["kind"], expected, str(case["rollback"]))
    assert decision.new == (case["id"] == "new")
    assert expected in decision.reason


@pytest.mark.parametrize("case", CASES["rollback"], ids=_named)
def test_rollback_target(case: dict[str, Any]) -> None:
    wanted = None if case["wanted"] is None else str(case["wanted"])
    if "error" not in case:
        assert rollback_target(_facts(case), wanted) == str(case["target"])
        return
    with pytest.raises(ConfigurationError, match=case["error"]) as caught:
        rollback_target(_facts(case), wanted)
    assert caught.value.fix


def test_no_state_of_a_host_breaks_a_decision() -> None:
    """Every combination of links over three releases, with and without the plan among them."""
    digests = {"1": "a", "2": PLAN.digest, "3": ""}
    links = ("", "1", "2", "3", "gone")
    states = ("running", "starting", "stopped", "failed", "absent")
    for serving, current, previous, state in itertools.product(links, links, links, states):
        facts = releases(digests, serving, current, previous)
        decision = decide(PLAN, facts, _service(state), NOW)
        assert decision.rollback_to in ("", "1", "2")
        assert decision.rollback_to != decision.release_id
        assert (decision.kind == "keep") == (serving == "2" and state in ("running", "starting"))
        assert decision.new == ("2" not in (serving, current))
