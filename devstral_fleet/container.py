"""What every container of the engine has in common, whichever tool starts it."""

from dataclasses import dataclass
from typing import Any

import yaml

from devstral_fleet.errors import ConfigurationError
from devstral_fleet.layout import HostLayout
from devstral_fleet.plan import DeploymentPlan

CONFIG_FILE = "/run/secrets/engine.yml"
"""Where the container finds the file that holds the API key."""
HUB_CACHE = "/root/.cache/huggingface"
"""Where a published image, whose user is root, keeps what it downloads. Ours, whose user may not enter /root, is only
run by deploys, whose files lie on the host."""
CACHE = "/var/cache/devstral-fleet"
"""Where the container keeps compiled kernels; the host keeps the directory, since they halve the next start's time."""
IMAGE_USER = 10001
"""User of our images. It owns, on the host, what the engine alone reads or writes."""
SHARED_MEMORY_GIB = 32
"""Shared memory for NCCL or RCCL. Source: SGLang's installation page."""
HEALTH_INTERVAL_S = 30
HEALTH_REPLY_S = 25
"""/health generates a token and gives itself 20 s."""
HEALTH_RETRIES = 3


@dataclass(frozen=True)
class Mount:
    """A directory or file of the host inside the container."""

    source: str
    target: str
    read_only: bool


def image(plan: DeploymentPlan, form: str) -> str:
    """Return the image's reference; raises ConfigurationError for a plan that has none."""
    if plan.image is None:
        raise ConfigurationError(
            f"{plan.hardware} runs the engine without a container, so there is no {form} form",
            fix="use --format command, systemd or json",
        )
    return plan.image.reference


def name(plan: DeploymentPlan) -> str:
    """Return the container's name; two engines of one host differ in their port."""
    return f"devstral-fleet-{plan.port}"


def arguments(plan: DeploymentPlan) -> tuple[str, ...]:
    """Return the engine's arguments: in a container it listens on the container's own interface, the host publishes it.

    On the native runtime they are the plan's.
    """
    words = list(plan.arguments)
    if plan.image is not None:
        words[words.index("--host") + 1] = "0.0.0.0"  # noqa: S104 - inside the container only
    return tuple(words)


def words(plan: DeploymentPlan) -> tuple[str, ...]:
    """Return the container's command."""
    return ("python3", "-m", "sglang.launch_server", *arguments(plan), "--config", CONFIG_FILE)


def mounts(plan: DeploymentPlan) -> tuple[Mount, ...]:
    """Return the model's files, at the same path, or the hub's cache; the API key's file; compiled kernels."""
    layout = HostLayout.of(plan.home)
    models = str(layout.models)
    hub = Mount(str(layout.home / "huggingface"), HUB_CACHE, False)
    return (
        Mount(models, models, True) if has_local_files(plan) else hub,
        Mount(str(layout.secrets / "engine.yml"), CONFIG_FILE, True),
        Mount(str(layout.cache), CACHE, False),
    )


def has_local_files(plan: DeploymentPlan) -> bool:
    """Tell whether the model's files lie on the host, as in every deploy, rather than coming from the hub by name."""
    path = plan.arguments[plan.arguments.index("--model-path") + 1]
    return path.startswith(f"{HostLayout.of(plan.home).models}/")


def health_url(plan: DeploymentPlan) -> str:
    """Return what a health check inside the container asks."""
    return f"http://127.0.0.1:{plan.port}/health"


def environment(plan: DeploymentPlan) -> dict[str, str]:
    """Return the container's environment: the plan's, and where compiled kernels go.

    On AMD all devices are visible, so the GPUs are chosen by a variable. In a deploy the engine's home is the cache,
    which it may write to, and its user's name is given: a site's own image may not know the user.
    """
    chosen = {"HIP_VISIBLE_DEVICES": ",".join(map(str, plan.gpus))} if plan.accelerator == "amd" else {}
    person = {"HOME": CACHE, "LOGNAME": "engine"} if has_local_files(plan) else {}
    kernels = {
        "FLASHINFER_WORKSPACE_BASE": CACHE,
        "TORCHINDUCTOR_CACHE_DIR": f"{CACHE}/inductor",
        "TRITON_CACHE_DIR": f"{CACHE}/triton",
    }
    return {**chosen, **person, **kernels, **plan.environment}


def key_comment(plan: DeploymentPlan) -> str:
    """Return the comment that says where the API key comes from."""
    source = HostLayout.of(plan.home).secrets / "engine.yml"
    return f"# Before the first start: {source}, mode 0600, one line: 'api-key: <key>'\n"


def yaml_text(*documents: object) -> str:
    """Write YAML documents in the order given, without anchors."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - PyYAML's own signature
        return True
