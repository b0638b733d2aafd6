"""A plan as Kubernetes manifests: a Deployment and a Service inside the cluster."""

import math

from devstral_fleet import container
from devstral_fleet.plan import DeploymentPlan

SECRET = "devstral-fleet-key"  # noqa: S105 - the name of a Secret, not its content
HEADER = f"""\
# The API key is a Secret that exists before this is applied; engine.yml is one line, 'api-key: <key>':
#   kubectl create secret generic {SECRET} --from-file=engine.yml
"""
PROBE_EVERY_S = 10
RESOURCES = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu"}


def write(plan: DeploymentPlan) -> str:
    """Return the manifests' text."""
    return HEADER + container.yaml_text(deployment(plan), service(plan))


def deployment(plan: DeploymentPlan) -> dict[str, object]:
    """Return the Deployment: one replica, and the old one ends first, since a full GPU holds one model."""
    labels = {"app": container.name(plan)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": container.name(plan), "labels": labels},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "progressDeadlineSeconds": plan.health_deadline_s + plan.drain_deadline_s,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod(plan)},
        },
    }


def service(plan: DeploymentPlan) -> dict[str, object]:
    """Return the Service, reachable from inside the cluster only."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": container.name(plan)},
        "spec": {
            "type": "ClusterIP",
            "selector": {"app": container.name(plan)},
            "ports": [{"name": "http", "port": plan.port, "targetPort": plan.port}],
        },
    }


def pod(plan: DeploymentPlan) -> dict[str, object]:
    """Return the pod; its shared process namespace keeps SGLang from being process 1."""
    return {
        "shareProcessNamespace": True,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": plan.drain_deadline_s,
        "containers": [_engine(plan)],
        "volumes": _volumes(plan),
    }


def _engine(plan: DeploymentPlan) -> dict[str, object]:
    devices = {RESOURCES[plan.accelerator]: plan.tp} if plan.accelerator in RESOURCES else {}
    memory = {"memory": f"{math.ceil(plan.memory_needed_gib)}Gi"}
    return {
        "name": "engine",
        "image": container.image(plan, "kubernetes"),
        "command": list(container.words(plan)),
        "env": [{"name": key, "value": value} for key, value in plan.environment.items()],
        "ports": [{"name": "http", "containerPort": plan.port}],
        "resources": {"limits": devices, "requests": memory},
        **_probes(plan),
        "volumeMounts": [
            {"name": "files", "mountPath": _files(plan).target, "readOnly": _files(plan).read_only},
            {"name": "key", "mountPath": container.CONFIG_FILE, "subPath": "engine.yml", "readOnly": True},
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - the container's shared memory
        ],
    }


def _probes(plan: DeploymentPlan) -> dict[str, object]:
    """Return probes: the start-up one waits as long as the plan does, so that no load is killed half-way."""
    check = {"httpGet": {"path": "/health", "port": plan.port}, "timeoutSeconds": container.HEALTH_REPLY_S}
    every = {**check, "periodSeconds": container.HEALTH_INTERVAL_S, "failureThreshold": container.HEALTH_RETRIES}
    patience = math.ceil(plan.health_deadline_s / PROBE_EVERY_S)
    return {
        "startupProbe": {**check, "periodSeconds": PROBE_EVERY_S, "failureThreshold": patience},
        "livenessProbe": every,
        "readinessProbe": every,
    }


def _files(plan: DeploymentPlan) -> container.Mount:
    return container.mounts(plan)[0]


def _volumes(plan: DeploymentPlan) -> list[dict[str, object]]:
    files = _files(plan)
    kind = "Directory" if files.read_only else "DirectoryOrCreate"
    size = f"{container.SHARED_MEMORY_GIB}Gi"
    return [
        {"name": "files", "hostPath": {"path": files.source, "type": kind}},
        {"name": "key", "secret": {"secretName": SECRET, "defaultMode": 0o400}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": size}},
    ]
