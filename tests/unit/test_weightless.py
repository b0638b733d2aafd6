"""A model without weights: made on the host in its true architecture, where the plan says so and nowhere else."""

import json
import runpy
import sys
from typing import Any

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet import resolve
from devstral_fleet.catalog.schema import Model
from devstral_fleet.intent import Connection, HostIntent
from devstral_fleet.smoke.steering import has_random_weights
from devstral_fleet.sources import Sources
from tests.support.tree import ROOT

FILES = ROOT / "playbooks" / "roles" / "model_files" / "files"
WEIGHTLESS = [model for model in catalogs.load().models.values() if model.weightless]


def intent(model: str = "devstral-small-2", **keys: object) -> HostIntent:
    known = {"name": "gpu01", "accelerator": "nvidia", "hardware": "h200", "gpu_count": 2, "model": model, **keys}
    return HostIntent.model_validate({"connection": Connection(kind="local"), "engine_requirements": "lock", **known})


@pytest.mark.parametrize("model", [model.name for model in WEIGHTLESS])
def test_the_plan_has_it_made_on_the_host(model: str) -> None:
    sources = Sources(requirements={"lock": b"sglang==0.5.20"}, weightless={model: "0123abc"})
    wanted = intent(model, runtime="native", load_format="dummy")
    plan = resolve.resolve_all([wanted], catalogs.load(), sources)["gpu01"]

    assert (plan.files.source, plan.files.directory) == ("weightless", f"{model}-weightless-0123abc")
    assert f"{plan.home}/models/{model}-weightless-0123abc" in plan.arguments
    assert has_random_weights(plan)
    assert any(note.startswith("No weights") for note in plan.notes)


@pytest.mark.parametrize("keys", [{"runtime": "native"}, {"runtime": "container", "load_format": "dummy"}])
def test_real_weights_and_containers_take_the_files_that_are_there(keys: dict[str, Any]) -> None:
    small = catalogs.load().model("devstral-small-2")
    assert not resolve.is_weightless(intent(**keys), small)


@pytest.mark.parametrize("model", WEIGHTLESS, ids=lambda model: model.name)
def test_its_configuration_is_the_catalogs_architecture(model: Model) -> None:
    config = json.loads((FILES / model.weightless).read_text())["config.json"]
    text = config.get("text_config", config)

    assert config["architectures"] == [model.architecture]
    assert (text["num_hidden_layers"], text["hidden_size"]) == (model.layers, model.hidden_size)
    assert (text["num_attention_heads"], text["num_key_value_heads"]) == (model.attention_heads, model.kv_heads)
    assert (text["head_dim"], text["vocab_size"]) == (model.head_dim, model.vocabulary)
    assert text["max_position_embeddings"] == model.maximum_context_length
    assert (config["quantization_config"]["quant_method"], "vision_config" in config) == (model.precision, model.vision)


def test_both_makers_number_control_tokens_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent:
        """Stands for the engine's packages, which only its own environment has."""

    for name in ("mistral_common", "transformers", "transformers.integrations", "transformers.integrations.mistral"):
        module = type(name, (Absent,), {"convert_tekken_tokenizer": None})
        monkeypatch.setitem(sys.modules, name, module)
    tiny = runpy.run_path(str(FILES / "make_tiny_model.py"))["CONTROL_TOKENS"]

    assert runpy.run_path(str(FILES / "make_weightless_model.py"))["control_tokens"]()[: len(tiny)] == tiny
