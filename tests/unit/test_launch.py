"""The cookbook's lines, plans without a host, and the forms that need no container."""

import json
from typing import Any

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet import launch
from devstral_fleet.errors import ConfigurationError, PlanError
from devstral_fleet.plan import DeploymentPlan
from tests.support.intents import cpu_host, gpu_host, planned
from tests.support.shell_words import shell_words

CATALOG = catalogs.load()
REPOSITORIES = {
    "devstral-small-2": "mistralai/Devstral-Small-2-24B-Instruct-2512",
    "devstral-2": "mistralai/Devstral-2-123B-Instruct-2512",
}
TP = {"h100": 4, "h200": 2, "b200": 2, "mi300x": 2, "mi325x": 2, "mi355x": 2}
COMBINATIONS = [(gpu, model, tools) for gpu in TP for model in REPOSITORIES for tools in (False, True)]


def generated(gpu: str = "h100", model: str = "devstral-small-2", tools: bool = True, **keys: Any) -> DeploymentPlan:
    return launch.generate(CATALOG, gpu, model, tools, **keys)


@pytest.mark.parametrize(("gpu", "model", "tools"), COMBINATIONS)
def test_the_cookbooks_line(gpu: str, model: str, tools: bool) -> None:
    expected = f"python -m sglang.launch_server \\\n  --model {REPOSITORIES[model]}"
    if model == "devstral-2":
        expected += f" \\\n  --tp {TP[gpu]}"
    if tools:
        expected += " \\\n  --tool-call-parser mistral"
    assert launch.cookbook(gpu, model, tools) == expected


def test_there_are_24_of_them() -> None:
    assert len(COMBINATIONS) == 24


@pytest.mark.parametrize(("gpu", "model", "said"), [
    ("l40s", "devstral-2", "the cookbook has no command for devstral-2 on 'l40s'"),
    ("h101", "devstral-2", "hardware 'h101' is not in the catalog"),
    ("h100", "devstral-3", "model 'devstral-3' is not in the catalog"),
    ("cpu", "devstral-tiny", "the cookbook has no command for devstral-tiny on 'cpu'"),
])  # fmt: skip
def test_what_the_cookbook_does_not_know(gpu: str, model: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        launch.cookbook(gpu, model, True)
    assert caught.value.message == said


@pytest.mark.parametrize(("gpu", "model", "tools"), COMBINATIONS)
def test_our_line_serves_the_same_on_as_many_gpus(gpu: str, model: str, tools: bool) -> None:
    words = shell_words(launch.write(generated(gpu, model, tools), "command"))
    assert words[:5] == ["python", "-m", "sglang.launch_server", "--model-path", REPOSITORIES[model]]
    assert ("--tool-call-parser" in words) is tools
    assert ("--tp" in words) is (model == "devstral-2")
    assert words[words.index("--host") + 1] == "127.0.0.1"


def test_options_of_a_plan_without_a_host() -> None:
    assert generated(model="devstral-2").tp == 4
    assert generated(model="devstral-2", context_length=16_384).tp == 2
    assert generated(tensor_parallel=8).tp == 8
    assert generated(tensor_parallel=16).gpus == tuple(range(16))
    with pytest.raises(PlanError, match="does not fit on 2 x h100"):
        generated(model="devstral-2", gpu_count=2)
    with pytest.raises(PlanError, match="tp 4 needs 4 GPUs and the host has 2"):
        generated(gpu_count=2, tensor_parallel=4)


def test_the_command_of_a_host_is_its_argv() -> None:
    plan = planned(gpu_host())
    assert launch.command(plan) == ("python", "-m", "sglang.launch_server", *plan.arguments)
    words = shell_words(launch.write(plan, "command"))
    assert words == ["HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1", *launch.command(plan)]


def test_where_others_reach_the_engine_the_key_file_is_named() -> None:
    words = launch.command(planned(gpu_host(listen="10.0.0.7")))
    assert words[-2:] == ("--config", "/opt/devstral-fleet/secrets/engine.yml")


def test_the_json_is_the_plan() -> None:
    plan = generated(model="devstral-2")
    document = json.loads(launch.write(plan, "json"))
    assert {"tp", "context_length", "kv_pool_tokens", "arguments", "environment", "image"} <= document.keys()
    assert DeploymentPlan.model_validate_json(json.dumps(document)) == plan


def test_an_unknown_form() -> None:
    with pytest.raises(ConfigurationError) as caught:
        launch.write(generated(), "kubernets")
    assert caught.value.fix == "did you mean kubernetes?"


@pytest.mark.parametrize("form", ["docker", "compose", "kubernetes"])
def test_the_cpu_has_no_container(form: str) -> None:
    with pytest.raises(ConfigurationError, match="without a container"):
        launch.write(planned(cpu_host()), form)


def test_spaces_and_quotes_survive_the_shell() -> None:
    plan = planned(cpu_host(environment={"NOTE": "it's $HOME; `id`"}))
    words = shell_words(launch.write(plan, "command"))
    assert "NOTE=it's $HOME; `id`" in words
