"""Plans for tests that need one and not the catalog."""

import hashlib
from pathlib import Path

from devstral_fleet import rolevars
from devstral_fleet.plan import DeploymentPlan, EngineEnvironment, ImageChoice, ModelFiles

MODEL_DIRECTORY = "devstral-tiny-1"
TINY_RECIPE: dict[str, int | str] = {
    "arch": "mistral3",
    "vocab": 512,
    "hidden": 32,
    "layers": 1,
    "heads": 2,
    "kv_heads": 1,
    "head_dim": 16,
    "ffn": 32,
    "ctx": 8192,
    "seed": 0,
}


def native_plan(home: Path, requirements: Path, port: int, **changes: object) -> DeploymentPlan:
    """Return the plan of a CPU host whose engine comes from `requirements`. `changes` replace fields."""
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    name = "devstral-tiny"
    plan = DeploymentPlan(
        host="local",
        accelerator="cpu",
        hardware="cpu",
        gpus=(),
        model=name,
        repository=name,
        served_model_name=name,
        runtime="native",
        sglang_version="recorded",
        transformers_minimum="5.0.0rc0",
        driver_minimum="",
        image=None,
        engine_environment=EngineEnvironment(
            requirements=str(requirements), digest=digest, torch="", torch_index="https://index.invalid"
        ),
        files=ModelFiles(
            source="generated", repository=name, revision=None, directory=MODEL_DIRECTORY, recipe=TINY_RECIPE
        ),
        tp=1,
        context_length=8192,
        mem_fraction_static=None,
        kv_cache_dtype="auto",
        kv_pool_tokens=8192,
        memory=None,
        listen="127.0.0.1",
        port=port,
        arguments=(
            *("--model-path", str(home / "models" / MODEL_DIRECTORY), "--served-model-name", name, "--device", "cpu"),
            *("--host", "127.0.0.1", "--port", str(port), "--context-length", "8192", "--max-total-tokens", "8192"),
        ),
        environment={"HF_HUB_OFFLINE": "1"},
        home=str(home),
        drain_deadline_s=30,
        health_deadline_s=30,
        disk_needed_gib=1.0,
        memory_needed_gib=1.0,
        smoke_workload="chat",
    )
    return plan.model_copy(update=changes)


IN_A_CONTAINER = {
    "runtime": "container",
    "engine_environment": None,
    "image": ImageChoice(name="site", base="", reference="fleet/engine:1", digest=None),
}
"""Changes that make a native plan one of the container runtime."""


def role_variables(directory: Path, **changes: object) -> rolevars.RoleVariables:
    """Role variables of a native plan whose files lie in `directory`. `changes` replace the plan's fields."""
    requirements = directory / "engine.lock"
    requirements.write_text("sglang\n")
    return rolevars.role_variables(
        native_plan(directory / "home", requirements, 30000, **changes),
        release_id="20260101T000000Z-aaaaaaaaaaaa",
        previous_id="",
        run_id="run-1",
        service_manager="supervisor",
        requirements_path=str(requirements),
        supervisor_version="1",
    )
