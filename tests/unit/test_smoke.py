"""Smoke checks: what a tool call must look like, how random weights are steered, and that no finding holds the key."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from devstral_fleet import smoke
from devstral_fleet.findings import Finding
from devstral_fleet.smoke.steering import BIAS, has_random_weights, logit_bias
from devstral_fleet.smoke.tools import Call, arguments_problems, call_problems
from tests.support.engine.planned import tiny_plan

KEY = "the-very-secret-key"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ('{"location": "Beijing", "unit": "celsius"}', None),
        ('{"location": "", "unit": "fahrenheit"}', None),
        ('{"location": "Beijing"', "no JSON"),
        ("", "no JSON"),
        ("[]", "no JSON object"),
        ('{"location": "Beijing"}', "'unit' is missing"),
        ('{"location": 7, "unit": "celsius"}', "not a string"),
        ('{"location": "Beijing", "unit": "kelvin"}', "not one of celsius, fahrenheit"),
        ('{"location": "Beijing", "unit": "celsius", "day": 1}', "'day' is not in the schema"),
    ],
)
def test_arguments_are_compared_with_the_schema(arguments: str, problem: str | None) -> None:
    found = arguments_problems(arguments)
    assert (problem is None) == (not found)
    assert problem is None or problem in found[0]


@pytest.mark.parametrize(
    ("call", "problem"),
    [(Call("", "get_weather"), "no id"), (Call("c1", "get_time"), "'get_time', which was not offered")],
)
def test_a_call_needs_an_id_and_an_offered_name(call: Call, problem: str) -> None:
    call.arguments = '{"location": "Beijing", "unit": "celsius"}'
    (found,) = call_problems(call)
    assert problem in found


@pytest.mark.parametrize(
    ("source", "arguments", "random"),
    [
        ("generated", (), True),
        ("hub", (), False),
        ("hub", ("--load-format", "auto"), False),
        ("hub", ("--load-format", "dummy"), True),
        ("hub", ("--load-format=dummy",), True),
    ],
)
def test_random_weights_are_known_by_the_plan(source: str, arguments: tuple[str, ...], random: bool) -> None:
    plan = tiny_plan(Path("/models/x"))
    files = plan.files.model_copy(update={"source": source})
    assert has_random_weights(plan.model_copy(update={"files": files, "arguments": arguments})) is random


def test_the_bias_follows_the_order_of_its_texts() -> None:
    assert list(logit_bias([[2], [35], [126], [94], [59], [45]]).values()) == list(BIAS.values())


def test_a_text_of_several_tokens_gets_no_bias() -> None:
    bias = logit_bias([[7, 8, 9], [35], [126], [94], [59], [45]])
    assert list(bias) == ["35", "126", "94", "59", "45"]


def test_a_string_ends_before_an_object_and_the_answer_before_all() -> None:
    assert BIAS["</s>"] > BIAS['"'] > BIAS["}"] >= BIAS["]"] > BIAS[":"] > BIAS[","]


class Parrot(BaseHTTPRequestHandler):
    """A server that answers every request with an error that quotes its key."""

    def do_GET(self) -> None:
        content = f'{{"message": "no {self.headers.get("Authorization")}"}}'.encode()
        self.send_response(500)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def parrot_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Parrot) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_no_finding_holds_the_key(parrot_url: str) -> None:
    heard: list[Finding] = []
    plan = tiny_plan(Path("/models/x"))
    found = smoke.run(base_url=parrot_url, api_key=KEY, plan=plan, timeout_s=10.0, on_check=heard.append)
    assert list(found) == heard
    assert {finding.check for finding in found if finding.state != "fail"} == {"pictures"}
    text = "".join(finding.model_dump_json() for finding in found)
    assert "Bearer ***" in text
    assert KEY not in text


def test_a_model_that_sees_nothing_is_asked_about_no_pictures() -> None:
    plan = tiny_plan(Path("/models/x"))
    assert list(smoke.checks_of(plan)) == list(smoke.CHECKS)
    assert set(smoke.CHECKS) - set(smoke.checks_of(plan.model_copy(update={"vision": False}))) == {"pictures"}


def test_a_proxy_of_the_environment_is_not_asked(parrot_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    found = smoke.run(base_url=parrot_url, api_key=KEY, plan=tiny_plan(Path("/models/x")), timeout_s=10.0)
    assert found[0].summary == "the endpoint answered HTTP 500"


def test_a_finding_says_how_long_it_took_by_the_given_clock(parrot_url: str) -> None:
    ticks = iter(range(1000))
    plan = tiny_plan(Path("/models/x"))
    found = smoke.run(base_url=parrot_url, api_key=KEY, plan=plan, timeout_s=10.0, clock=lambda: float(next(ticks)))
    assert found[0].duration_ms == 1000.0
