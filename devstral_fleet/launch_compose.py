"""A plan as a Compose file."""

from devstral_fleet import container
from devstral_fleet.plan import DeploymentPlan

RENDER_GROUP = "${RENDER_GID:?set it to the number of the render group of this host}"
"""Compose can ask nobody for that number; docker compose stops with this sentence where it is not set."""


def write(plan: DeploymentPlan) -> str:
    """Return the file's text."""
    project = {"name": container.name(plan), "services": {"engine": service(plan)}}
    return container.key_comment(plan) + container.yaml_text(project)


def service(plan: DeploymentPlan) -> dict[str, object]:
    """Return the one service; a dollar sign is doubled, since Compose replaces variables in every value."""
    return {
        "image": container.image(plan, "compose"),
        "container_name": container.name(plan),
        "command": [_literal(word) for word in container.words(plan)],
        "init": True,
        "restart": "unless-stopped",
        "stop_grace_period": f"{plan.drain_deadline_s}s",
        "ipc": "private",
        "shm_size": f"{container.SHARED_MEMORY_GIB}g",
        "ulimits": {"memlock": -1, "stack": 67108864},
        "ports": [f"{plan.listen}:{plan.port}:{plan.port}"],
        "environment": {key: _literal(value) for key, value in container.environment(plan).items()},
        "volumes": [
            {
                "type": "bind",
                "source": mount.source,
                "target": mount.target,
                "read_only": mount.read_only,
                "bind": {"create_host_path": not mount.read_only},
            }
            for mount in container.mounts(plan)
        ],
        **_devices(plan),
        "healthcheck": {
            "test": ["CMD", "curl", "--fail", "--silent", container.health_url(plan)],
            "start_period": f"{plan.health_deadline_s}s",
            "interval": f"{container.HEALTH_INTERVAL_S}s",
            "timeout": f"{container.HEALTH_REPLY_S}s",
            "retries": container.HEALTH_RETRIES,
        },
    }


def _devices(plan: DeploymentPlan) -> dict[str, object]:
    if plan.accelerator == "amd":
        return {
            "devices": ["/dev/kfd:/dev/kfd", "/dev/dri:/dev/dri"],
            "group_add": ["video", RENDER_GROUP],
            "security_opt": ["seccomp=unconfined"],
        }
    reservation = {"driver": "nvidia", "device_ids": [str(gpu) for gpu in plan.gpus], "capabilities": ["gpu"]}
    return {"deploy": {"resources": {"reservations": {"devices": [reservation]}}}}


def _literal(text: str) -> str:
    return text.replace("$", "$$")
