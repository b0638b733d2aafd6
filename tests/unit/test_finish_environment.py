"""What ends the making of an engine environment: the wrong torch, what comes along with it, an old transformers."""

import runpy
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import pytest

from tests.support.tree import ROOT

FILE = ROOT / "playbooks" / "roles" / "engine_environment" / "files" / "finish_environment.py"
CPU, MINIMUM = "torch==2.13.0+cpu", "5.0.0rc0"
GOOD = {"torch": "2.13.0+cpu", "transformers": "5.12.1"}


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str], str, str], Iterator[str]]:
    """The script's judgement, where a module sglang is installed."""
    names = runpy.run_path(str(FILE))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())
    return cast("Callable[[Mapping[str, str], str, str], Iterator[str]]", names["problems"])


@pytest.mark.parametrize(
    ("changed", "torch", "said"),
    [
        pytest.param({}, CPU, [], id="as planned"),
        pytest.param({"torch": "2.13.0"}, CPU, ["torch 2.13.0 is not the CPU build"], id="another torch"),
        pytest.param(
            {"nvidia-cublas": "13.0", "cuda-toolkit": "13.0"},
            CPU,
            ["cuda-toolkit came", "nvidia-cublas came"],
            id="cuda",
        ),
        pytest.param({"torch": "2.13.0", "nvidia-cublas": "13.0"}, "", [], id="a site's own torch"),
        pytest.param({"transformers": "4.57.1"}, CPU, ["transformers 4.57.1 does not know"], id="old transformers"),
        pytest.param({"transformers": "5.0.0rc0"}, CPU, [], id="the oldest transformers that knows"),
        pytest.param({"transformers": ""}, CPU, ["transformers is absent"], id="no transformers"),
    ],
)
def test_what_is_not_as_planned_is_said(
    problems: Callable[[Mapping[str, str], str, str], Iterator[str]],
    changed: Mapping[str, str],
    torch: str,
    said: list[str],
) -> None:
    found = list(problems({**GOOD, **changed}, torch, MINIMUM))
    assert len(found) == len(said), found
    assert all(sentence.startswith(words) for sentence, words in zip(found, said))


def test_no_torch_at_all_is_not_the_cpu_build(
    problems: Callable[[Mapping[str, str], str, str], Iterator[str]],
) -> None:
    assert list(problems({"transformers": "5.12.1"}, CPU, MINIMUM)) == [f"torch is absent, is not the CPU build {CPU}"]
