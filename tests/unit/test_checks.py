"""Findings before and after a deploy: one case, one thing that differs from a good host."""

import json
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from pydantic import BaseModel

from devstral_fleet import catalog as catalogs
from devstral_fleet import checks
from devstral_fleet.findings import Finding
from tests.support.intents import gpu_host, planned
from tests.support.values import ABSENT, ENGINE, FREE_PORT, HOST, PLAN, RUNNING, VERSIONS, releases

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "checks.yml").read_text())
Changed = TypeVar("Changed", bound=BaseModel)


def _named(case: dict[str, Any]) -> str:
    return str(case["name"])


def _changed(value: Changed, changes: dict[str, Any] | None) -> Changed:
    """The value with other fields, checked again as its own type; YAML's lists become tuples by way of JSON."""
    return type(value).model_validate_json(json.dumps(value.model_dump(mode="json") | (changes or {})))


def _before(case: dict[str, Any]) -> tuple[Finding, ...]:
    plan = _changed(PLAN, case.get("plan"))
    digests = {str(id): plan.digest if digest == "p" else digest for id, digest in case.get("releases", {}).items()}
    return checks.before(
        plan,
        _changed(HOST, case.get("host")),
        _changed(FREE_PORT, case.get("port")),
        _changed(ABSENT, case.get("service")),
        releases(digests),
        rules=catalogs.load().runtimes.hosts,
        python_minimum="3.11",
        controller_epoch_s=1_700_000_000.0,
    )


def _after(case: dict[str, Any]) -> tuple[Finding, ...]:
    engine = _changed(ENGINE, {"server_info": {**ENGINE.server_info, **case.get("info", {})}})
    return checks.after(
        PLAN,
        _changed(RUNNING, case.get("service")),
        _changed(engine, case.get("engine")),
        _changed(VERSIONS, case.get("versions")),
        releases({"1": PLAN.digest, "2": "other"}, case.get("serving", "1"), "1"),
    )


def _judge(case: dict[str, Any], findings: tuple[Finding, ...]) -> None:
    (finding,) = [finding for finding in findings if finding.check == case["check"]]
    assert finding.state == case["state"]
    assert case.get("says", "") in finding.summary
    assert case.get("fix", "") in finding.fix
    assert bool(finding.fix) == (finding.state != "ok")
    others = {finding.check for finding in findings if finding.state == "fail"}
    assert others <= {case["check"]}


@pytest.mark.parametrize("case", CASES["before"], ids=_named)
def test_before(case: dict[str, Any]) -> None:
    _judge(case, _before(case))


@pytest.mark.parametrize("case", CASES["after"], ids=_named)
def test_after(case: dict[str, Any]) -> None:
    findings = _after(case)
    if case["name"] == "no server_info":  # the version then comes from what is installed
        assert all(finding.state != "fail" for finding in findings if finding.check == "sglang-version")
    _judge(case, findings)


def test_every_finding_of_a_good_host_is_ok() -> None:
    for findings in (_before({}), _after({})):
        assert {finding.state for finding in findings} == {"ok"}
        assert len({finding.check for finding in findings}) == len(findings)


@pytest.mark.parametrize(("said", "state"), [(0.83 * 0.85, "ok"), (0.83, "fail")])
def test_an_engine_that_lowers_the_memory_fraction_is_compared_with_what_was_planned(said: float, state: str) -> None:
    plan = planned(gpu_host(accelerator="amd", hardware="mi300x"))
    assert plan.memory is not None
    written = checks.planned_fields(plan.arguments)["mem_fraction_static"]
    assert plan.memory.mem_fraction_static == pytest.approx(float(written) * 0.85, abs=1e-4)
    says = {"mem_fraction_static": said / 0.83 * float(written)}
    engine = ENGINE.model_copy(update={"server_info": says})
    found = checks.after(plan, RUNNING, engine, VERSIONS, releases({"1": plan.digest}, "1", "1"))
    assert [finding.state for finding in found if finding.check == "arguments"] == [state]


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        (("--context-length", "8192", "--tp", "2"), {"context_length": "8192", "tp_size": "2"}),
        (("--enable-metrics", "--port", "1"), {"enable_metrics": "True", "port": "1"}),
        (("--model", "/m", "--mem-fraction-static=0.8"), {"model_path": "/m", "mem_fraction_static": "0.8"}),
        (("--cuda-graph-bs", "1", "2", "4"), {"cuda_graph_bs": "1 2 4"}),
    ],
)
def test_arguments_as_fields(arguments: tuple[str, ...], fields: dict[str, str]) -> None:
    assert checks.planned_fields(arguments) == fields


@pytest.mark.parametrize(
    ("planned", "seen", "state"),
    [
        ("0.80", 0.8, "ok"),
        ("0.8", 0.85, "fail"),
        ("None", None, "ok"),
        ("auto", "auto", "ok"),
        ("{}", "{}", "ok"),
        ("1 2", [1, 2], "ok"),
        ("1 3", [1, 2], "fail"),
        ("many", 3, "fail"),
        ("65536", 65537, "fail"),
    ],
)
def test_words_are_compared_with_typed_values(planned: str, seen: object, state: str) -> None:
    plan = PLAN.model_copy(update={"arguments": ("--some-flag", *planned.split())})
    engine = ENGINE.model_copy(update={"server_info": {"some_flag": seen}})
    findings = checks.after(plan, RUNNING, engine, VERSIONS, releases({"1": plan.digest}, "1", "1"))
    assert [finding.state for finding in findings if finding.check == "arguments"] == [state]
