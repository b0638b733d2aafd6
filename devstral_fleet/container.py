"""What every container of the engine has in common, whichever tool starts it."""

from dataclasses import dataclass
from typing import Any

import yaml

from devstral_fleet.errors import ConfigurationError
from devstral_fleet.layout import HostLayout
from devstral_fleet.plan import DeploymentPlan

CONFIG_FILE = "/run/secrets/engine.yml"
"""Where the container finds the file that holds the API key."""
CACHE = "/root/.cache/huggingface"
SHARED_MEMORY_GIB = 32
"""Shared memory for NCCL or RCCL. Source: SGLang's installation page."""
STOP_GRACE_S = 120
"""Time to drain requests after SIGTERM."""
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


def words(plan: DeploymentPlan) -> tuple[str, ...]:
    """Return the container's command: the engine listens on the container's own interface, the host publishes it."""
    arguments = list(plan.arguments)
    arguments[arguments.index("--host") + 1] = "0.0.0.0"  # noqa: S104 - inside the container only
    return ("python3", "-m", "sglang.launch_server", *arguments, "--config", CONFIG_FILE)


def mounts(plan: DeploymentPlan) -> tuple[Mount, ...]:
    """Return the model's files, read only at the same path, or the hub's cache; and the file with the API key."""
    layout = HostLayout.of(plan.home)
    path = plan.arguments[plan.arguments.index("--model-path") + 1]
    models = str(layout.models)
    local = path.startswith(f"{models}/")
    files = Mount(models, models, True) if local else Mount(str(layout.home / "huggingface"), CACHE, False)
    return files, Mount(str(layout.secrets / "engine.yml"), CONFIG_FILE, True)


def health_url(plan: DeploymentPlan) -> str:
    """Return what a health check inside the container asks."""
    return f"http://127.0.0.1:{plan.port}/health"


def device_environment(plan: DeploymentPlan) -> dict[str, str]:
    """Return the plan's environment; on AMD all devices are visible, so the GPUs are chosen by a variable."""
    chosen = {"HIP_VISIBLE_DEVICES": ",".join(map(str, plan.gpus))} if plan.accelerator == "amd" else {}
    return {**chosen, **plan.environment}


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
