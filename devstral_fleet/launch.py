"""A plan in each form that starts an engine: command, docker, compose, systemd, kubernetes, json; and the cookbook.

Nothing is started here, and no secret is written: the API key is a file that each form mounts.
"""

import shlex
from collections.abc import Callable, Mapping

from devstral_fleet import catalog as catalogs
from devstral_fleet import launch_compose, launch_docker, launch_kubernetes, launch_systemd
from devstral_fleet.catalog import Catalog, did_you_mean
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.intent import Connection, HostIntent
from devstral_fleet.layout import HostLayout
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.problems import requirements_file
from devstral_fleet.resolve import Style, resolve
from devstral_fleet.sources import Sources
from devstral_fleet.words import lines

MODULE = ("python", "-m", "sglang.launch_server")
LARGEST_HOST = 8
"""GPUs that a host is assumed to have when none is named."""


def command(plan: DeploymentPlan) -> tuple[str, ...]:
    """Return the words that start the engine; where others can reach it, with the file that holds the API key."""
    key = () if plan.listen.startswith("127.") else ("--config", str(HostLayout.of(plan.home).secrets / "engine.yml"))
    return (*MODULE, *plan.arguments, *key)


def write(plan: DeploymentPlan, form: str) -> str:
    """Write a plan for one tool.

    Raises:
        ConfigurationError: the form is unknown, or this plan has no container image and the form needs one.
    """
    if form not in FORMS:
        raise ConfigurationError(f"format '{form}' is not known", fix=did_you_mean(form, FORMS))
    return FORMS[form](plan)


def cookbook(hardware: str, model: str, tool_calling: bool, *, catalog: Catalog | None = None) -> str:
    """Return the SGLang cookbook's line for one of its GPUs, word for word.

    Raises:
        ConfigurationError: the cookbook's generator does not know this GPU or model.
    """
    known = catalog or catalogs.load()
    entry = known.model(model)
    if hardware not in entry.tensor_parallel:
        known.gpu(hardware)
        fix = f"the cookbook knows: {', '.join(entry.tensor_parallel) or 'none for this model'}; leave --style out"
        raise ConfigurationError(f"the cookbook has no command for {model} on '{hardware}'", fix=fix)
    tp = entry.tensor_parallel[hardware]
    words = [*MODULE, "--model", entry.repository]
    words += ["--tp", str(tp)] if tp > 1 else []
    words += ["--tool-call-parser", entry.tool_call_parser] if tool_calling else []
    return lines(words)


def generate(
    catalog: Catalog,
    hardware: str,
    model: str,
    tool_calling: bool,
    *,
    gpu_count: int | None = None,
    context_length: int | None = None,
    tensor_parallel: int | None = None,
) -> DeploymentPlan:
    """Make a plan without a host: the model comes from the hub by name, the GPUs are as many as it needs.

    Raises:
        ConfigurationError: an unknown name. PlanError: nothing fits, with the arithmetic.
    """
    gpu = catalog.gpu(hardware)
    catalog.model(model)
    intent = HostIntent(
        name=hardware,
        connection=Connection(kind="local"),
        accelerator=gpu.accelerator,
        hardware=hardware,
        gpu_count=max(gpu_count or LARGEST_HOST, 0 if gpu_count else tensor_parallel or 0),
        model=model,
        runtime="native" if gpu.accelerator == "cpu" else "container",
        context_length=context_length,
        tensor_parallel=tensor_parallel,
    )
    sources = Sources(requirements={requirements_file(intent, catalog): b""})
    return resolve(intent, catalog, sources, Style(tool_calling=tool_calling, local_files=False))


def _command(plan: DeploymentPlan) -> str:
    """Write environment and command as a shell reads them."""
    variables = [f"{name}={shlex.quote(value)} \\\n" for name, value in plan.environment.items()]
    return "".join(variables) + lines(command(plan))


def _json(plan: DeploymentPlan) -> str:
    return plan.model_dump_json(indent=2)


FORMS: Mapping[str, Callable[[DeploymentPlan], str]] = {
    "command": _command,
    "docker": launch_docker.write,
    "compose": launch_compose.write,
    "systemd": launch_systemd.write,
    "kubernetes": launch_kubernetes.write,
    "json": _json,
}
