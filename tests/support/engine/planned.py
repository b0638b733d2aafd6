"""The plan that a running engine of the tests would have come from."""

from pathlib import Path

from devstral_fleet.plan import DeploymentPlan, EngineEnvironment, ModelFiles
from tests.support.real_engine import CPU_ARGUMENTS, CPU_ENVIRONMENT, RunningEngine


def tiny_plan(
    model: Path, *, served_model_name: str = "devstral-tiny", context_length: int = 32768, port: int = 30000
) -> DeploymentPlan:
    """Return a plan of `devstral-tiny` on one CPU: random weights, the model's files in the directory `model`."""
    return DeploymentPlan(
        host="local",
        accelerator="cpu",
        hardware="cpu",
        gpus=(),
        model="devstral-tiny",
        repository="devstral-tiny",
        served_model_name=served_model_name,
        runtime="native",
        sglang_version="recorded",
        transformers_minimum="5.0.0rc0",
        driver_minimum="",
        image=None,
        engine_environment=EngineEnvironment(requirements="", digest="", torch="", torch_index=""),
        files=ModelFiles(source="generated", repository="", revision=None, directory=model.name),
        vision=True,
        tp=1,
        context_length=context_length,
        mem_fraction_static=None,
        kv_cache_dtype="auto",
        kv_pool_tokens=65536,
        memory=None,
        listen="127.0.0.1",
        port=port,
        arguments=CPU_ARGUMENTS,
        environment=dict(CPU_ENVIRONMENT),
        home=str(model.parent),
        drain_deadline_s=30,
        health_deadline_s=180,
        disk_needed_gib=0.1,
        memory_needed_gib=0.1,
        smoke_workload="chat",
    )


def plan_of(engine: RunningEngine, **changes: object) -> DeploymentPlan:
    """Return the plan that `engine` would have come from. `changes` replaces fields."""
    plan = tiny_plan(
        engine.model, served_model_name=engine.served_model_name, context_length=engine.context_length, port=engine.port
    )
    return plan.model_copy(update=changes)
