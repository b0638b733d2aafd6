"""Does the GPU runtime start as an engine starts it? `cuInit` in the engine's image, or on the host before.

What is measured runs the same way. The scripts in `on_host/` come by standard input; they leave nothing behind.
"""

import json
from pathlib import Path
from typing import Literal

from devstral_fleet import container, launch_docker
from devstral_fleet.facts import AllReduceFacts, StartFacts
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.probes import output
from devstral_fleet.shell import CommandResult, Shell

SCRIPTS = Path(__file__).parent / "on_host"
RUNTIMES = {"nvidia": ("libcuda.so.1", "cu"), "amd": ("libamdhip64.so", "hip")}
"""Library and prefix of its functions."""
START_S = 90.0
"""Eight GPUs whose driver is not kept loaded take half a minute."""
COPY = ("256", "20")
"""MiB and rounds: a second and a half for each GPU."""
REDUCE = ("4096", "20")
MEASURE_S = 300.0
LAST_LINES = 3


def command(plan: DeploymentPlan, image: str, python: str, *words: str) -> list[str]:
    """Words that run a script from standard input, in the engine's environment.

    Args:
        image: where to, '' for the host itself with its `python`.
    """
    variables = [f"{name}={value}" for name, value in plan.environment.items()]
    if not image:
        return ["env", *variables, python, "-", *words]
    devices = [word for pair in launch_docker.devices(plan) for word in pair]
    return [
        *("docker", "run", "--rm", "--interactive", "--network", "none", "--user", "0"),
        *("--ipc", "private", "--shm-size", f"{container.SHARED_MEMORY_GIB}g"),
        *devices,
        *(word for variable in variables for word in ("--env", variable)),
        *("--entrypoint", "python3", image, "-", *words),
    ]


def read(shell: Shell, plan: DeploymentPlan, image: str, python: str, *, measured: bool = False) -> StartFacts:
    """Start the runtime. One that does not start is a fact, and no error.

    Raises:
        ProbeError: the script printed what cannot be read.
    """
    words = (*RUNTIMES[plan.accelerator], *(COPY if measured else ()))
    result = _run(shell, command(plan, image, python, *words), "gpu_start.py", MEASURE_S if measured else START_S)
    place: Literal["container", "host"] = "container" if image else "host"
    if not result.ok:
        return StartFacts(place=place, devices=0, code=-1, error=_last(result))
    found = output.document(result.stdout, "gpu-start")
    return StartFacts.model_validate_json(json.dumps({"place": place, **found}))


def all_reduce(shell: Shell, plan: DeploymentPlan, image: str, python: str = "") -> AllReduceFacts:
    """Measure the plan's GPUs together, in the engine's image or by the `python` of its native environment.

    Raises:
        ProbeError: the script printed what cannot be read.
    """
    words = (str(len(plan.gpus)), *REDUCE)
    result = _run(shell, command(plan, image, python, *words), "all_reduce.py", MEASURE_S)
    if not result.ok:
        return AllReduceFacts(bus_gb_s=0, right=False, error=_last(result))
    return AllReduceFacts.model_validate({**output.document(result.stdout, "all-reduce"), "error": ""})


def _run(shell: Shell, argv: list[str], script: str, limit_s: float) -> CommandResult:
    return shell.run(argv, stdin=(SCRIPTS / script).read_text(), timeout_s=limit_s)


def _last(result: CommandResult) -> str:
    lines = (result.stderr or result.stdout).strip().splitlines()[-LAST_LINES:]
    return " ".join(lines) or f"it ended with {result.exit_status}"
