"""A plan as one `docker run` line."""

import shlex

from devstral_fleet import container
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.words import NEXT_LINE, lines

RENDER_GROUP = '"$(getent group render | cut -d: -f3)"'
"""The host's number of the group that owns /dev/dri: the image's own group of that name may have another."""

LOG_OPTIONS = (("--log-driver", "local"), ("--log-opt", "max-size=20m"), ("--log-opt", "max-file=4"))
"""Docker rotates the engine's log; its default driver would fill the disk."""


def write(plan: DeploymentPlan) -> str:
    """Return a line for a shell, one option a line."""
    image = container.image(plan, "docker")
    own = ("docker run --detach", *options(plan, name=container.name(plan), kept=True))
    return NEXT_LINE.join((*own, lines((image, *container.words(plan)))))


def options(plan: DeploymentPlan, *, name: str, kept: bool) -> list[str]:
    """Return docker's options, each as text for a shell.

    The container's own IPC namespace with enough shared memory serves one host; SGLang must not be process 1 (it
    would ignore its own SIGKILL and end with exit status 0), hence --init.

    Args:
        name: the container's. kept: Docker restarts it and keeps its log; else whoever runs this in front does both.
    """
    pairs = [
        ("--name", name),
        ("--init", ""),
        *((("--restart", "unless-stopped"), *LOG_OPTIONS) if kept else (("--log-driver", "none"),)),
        *devices(plan),
        ("--ipc", "private"),
        ("--shm-size", f"{container.SHARED_MEMORY_GIB}g"),
        ("--publish", f"{plan.listen}:{plan.port}:{plan.port}"),
        *(_mount(mount) for mount in container.mounts(plan)),
        *(("--env", f"{key}={value}") for key, value in container.environment(plan).items()),
        *health(plan),
        ("--stop-timeout", str(plan.drain_deadline_s)),
    ]
    quoted = [f"{flag} {shlex.quote(value)}" if value else flag for flag, value in pairs]
    return [*quoted, f"--group-add {RENDER_GROUP}"] if plan.accelerator == "amd" else quoted


def devices(plan: DeploymentPlan) -> list[tuple[str, str]]:
    """Return the options that hand GPUs to the container; the inner quotes keep docker from splitting the list.

    ROCm's runtime uses system calls that Docker's seccomp profile refuses. Source: SGLang's page on AMD GPUs.
    """
    if plan.accelerator == "cpu":
        return []
    limits = [("--ulimit", "memlock=-1"), ("--ulimit", "stack=67108864")]
    if plan.accelerator == "amd":
        nodes = [("--device", "/dev/kfd"), ("--device", "/dev/dri"), ("--group-add", "video")]
        return [*nodes, ("--security-opt", "seccomp=unconfined"), *limits]
    return [("--gpus", f'"device={",".join(map(str, plan.gpus))}"'), *limits]


def health(plan: DeploymentPlan) -> list[tuple[str, str]]:
    """Return the health check, patient for as long as the plan lets the model load."""
    return [
        ("--health-cmd", f"curl --fail --silent --max-time {container.HEALTH_REPLY_S} {container.health_url(plan)}"),
        ("--health-start-period", f"{plan.health_deadline_s}s"),
        ("--health-interval", f"{container.HEALTH_INTERVAL_S}s"),
        ("--health-timeout", f"{container.HEALTH_REPLY_S}s"),
        ("--health-retries", str(container.HEALTH_RETRIES)),
    ]


def _mount(mount: container.Mount) -> tuple[str, str]:
    """What is only read must be there; docker would make a missing one as an empty directory of a --volume."""
    if mount.read_only:
        return "--mount", f"type=bind,source={mount.source},target={mount.target},readonly"
    return "--volume", f"{mount.source}:{mount.target}"
