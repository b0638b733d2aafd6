"""The cases of tool calling: a server that is right passes them all, and each way to be wrong is found."""

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from devstral_fleet.findings import Finding
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.smoke import conformance, run, tool_cases
from devstral_fleet.smoke.steering import has_random_weights
from tests.support.intents import gpu_host, planned
from tests.support.tool_server import Server, tool_server
from tests.support.values import PLAN

TRAINED = planned(gpu_host())
NAMED = "tools-named-of-three-tools"


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with tool_server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    running.fault = ""


def asked(server: Server, plan: DeploymentPlan = PLAN, only: str = "") -> dict[str, Finding]:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    cases = {name: check for name, check in conformance.checks(plan).items() if only in name}
    return {
        each.check: each
        for each in run(base_url=url, api_key="a-key-of-the-test", plan=plan, timeout_s=10, asked=cases)
    }


def test_there_are_enough_cases_of_every_kind() -> None:
    cases = tool_cases.load().cases
    assert len({case.name for case in cases}) == len(cases) >= 40
    assert has_random_weights(PLAN)
    assert len(conformance.checks(PLAN)) >= 40
    assert len(conformance.checks(TRAINED)) == len(cases)
    for case in cases:
        assert case.expect.calls or case.expect.text or case.expect.refused, case.name
        assert all(len(tool["function"].get("name", "")) <= 64 for tool in tool_cases.load().offered(case))


@pytest.mark.parametrize("plan", [PLAN, TRAINED], ids=["random weights", "trained weights"])
def test_a_server_that_is_right_passes_them_all(server: Server, plan: DeploymentPlan) -> None:
    found = asked(server, plan)
    assert {name: each.summary for name, each in found.items() if each.state != "ok"} == {}
    assert list(found) == list(conformance.checks(plan))


@pytest.mark.parametrize(
    ("fault", "case", "says"),
    [
        ("leaks", "one-text", "[TOOL_CALLS] is in the content"),
        ("twice", "one-choice", "2 calls came"),
        ("stranger", "one-choice", "'fly' was not offered"),
        ("cut", "one-choice", "are no JSON"),
        ("misfit", "one-choice", "'level' is a required property"),
        ("without_id", "one-choice", "need an id of their own"),
        ("wrong_end", "one-choice", "finish_reason is stop, not tool_calls"),
        ("calls_unasked", "none-with-tools", "1 calls came, and none was to come"),
        ("silent", "no-tools", "no word came"),
        ("accepts", "required-without-tools", "it was accepted"),
        ("gap", "one-choice", "streamed: call 1 came before call 0"),
        ("named_again", "one-choice", "streamed: call 0 is named again"),
        ("nameless", "one-choice", "streamed: call 0 begins without its name"),
        ("ends_twice", "one-choice", "streamed: it ended twice"),
    ],
)
def test_a_fault_fails_its_case(server: Server, fault: str, case: str, says: str) -> None:
    server.fault = fault
    found = asked(server, only=f"tools-{case}")[f"tools-{case}"]
    assert found.state == "fail"
    assert says in found.summary
    assert found.fix


def test_what_sglang_is_known_to_do_wrong_is_a_warning(server: Server) -> None:
    server.fault = "stranger"
    found = asked(server, only=NAMED)[NAMED]
    assert found.state == "warn"
    assert "fly was called, switch was asked for" in found.summary
    assert "SGLang 0.5.20" in found.summary


@pytest.mark.parametrize(
    ("case", "fault"), [("auto-the-right-one", "twice"), ("none-after-a-result", "silent"), ("auto-code", "misfit")]
)
def test_trained_weights_are_held_to_the_rules(server: Server, case: str, fault: str) -> None:
    server.fault = fault
    assert asked(server, TRAINED, only=case)[f"tools-{case}"].state == "fail"


def test_another_choice_of_a_trained_model_is_a_warning(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [("weather", {"location": "Oslo", "unit": "celsius"})]
    monkeypatch.setattr(Server, "answer", lambda *_: ("", chosen))
    found = asked(server, TRAINED, only="auto-unicode")["tools-auto-unicode"]
    assert found.state == "warn"
    assert "whole and streamed: not what was expected of the model" in found.summary
    monkeypatch.setattr(Server, "answer", lambda *_: ("It is cold.", []))
    assert asked(server, TRAINED, only="auto-after-a-result")["tools-auto-after-a-result"].state == "warn"


def test_a_case_with_a_tool_that_there_is_not_is_refused() -> None:
    text = '{"tools": {}, "cases": [{"name": "a", "tools": ["b"], "expect": {"text": true}}]}'
    with pytest.raises(ValidationError, match="a: b"):
        tool_cases.ToolCases.model_validate_json(text)
