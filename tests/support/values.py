"""Whole values for tests of pure code; a test names only the fields that it is about."""

from devstral_fleet.facts import (
    EngineFacts,
    HostFacts,
    PortFacts,
    ReleaseFacts,
    ReleasesFacts,
    ServiceFacts,
    VersionsFacts,
)
from devstral_fleet.plan import DeploymentPlan, ModelFiles

PLAN = DeploymentPlan(
    host="gpu01",
    accelerator="cpu",
    hardware="cpu",
    gpus=(),
    model="devstral-tiny",
    repository="local/devstral-tiny",
    served_model_name="devstral-tiny",
    runtime="native",
    sglang_version="0.5.20",
    transformers_minimum="5.0.0rc0",
    driver_minimum="",
    image=None,
    engine_environment=None,
    files=ModelFiles(source="generated", repository="local/devstral-tiny", revision=None, directory="devstral-tiny-1"),
    tp=1,
    context_length=8192,
    mem_fraction_static=None,
    kv_cache_dtype="auto",
    kv_pool_tokens=65536,
    memory=None,
    listen="127.0.0.1",
    port=30000,
    arguments=("--context-length", "8192", "--max-total-tokens", "65536", "--tp", "1", "--enable-metrics"),
    environment={},
    home="/opt/devstral-fleet",
    drain_deadline_s=30,
    health_deadline_s=300,
    disk_needed_gib=6.0,
    memory_needed_gib=4.0,
    smoke_workload="chat",
)

HOST = HostFacts(
    hostname="gpu01",
    os_id="debian",
    os_version="12",
    kernel="6.1.0",
    architecture="x86_64",
    process_1="systemd",
    user="root",
    python_version="3.11.2",
    has_venv=True,
    cpu_count=8,
    memory_gib=64.0,
    memory_available_gib=60.0,
    disk_free_gib=100.0,
    utc_epoch_s=1_700_000_000,
)

FREE_PORT = PortFacts(port=30000, listening=False, pid=0, command="")
RUNNING = ServiceFacts(manager="supervisor", state="running", pid=100, detail="engine RUNNING pid 100")
ABSENT = ServiceFacts(manager="none", state="absent", pid=0, detail="")
VERSIONS = VersionsFacts(sglang="0.5.20", transformers="5.12.1", torch="2.13.0+cpu")
ENGINE = EngineFacts(
    healthy=True,
    health_status=200,
    model_id="devstral-tiny",
    max_model_len=8192,
    server_info={
        "version": "0.5.20",
        "context_length": 8192,
        "max_total_tokens": 65536,
        "max_total_num_tokens": 65536,
        "tp_size": 1,
        "enable_metrics": True,
    },
)


def release(id: str, digest: str) -> ReleaseFacts:
    return ReleaseFacts(id=id, digest=digest, created="2026-11-23T16:00:00Z", model="devstral-tiny")


def releases(digests: dict[str, str], serving: str = "", current: str = "", previous: str = "") -> ReleasesFacts:
    listed = tuple(release(id, digest) for id, digest in digests.items())
    return ReleasesFacts(releases=listed, serving=serving, current=current, previous=previous)
