"""What a host's environment sets for its GPUs reaches every process on them, and nothing overrides it."""

from pathlib import Path
from typing import Any

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet import launch_docker, launch_start, launch_systemd
from devstral_fleet.bench import command
from devstral_fleet.errors import PlanError
from devstral_fleet.intent import Connection, HostIntent
from devstral_fleet.layout import HostLayout
from devstral_fleet.probes import gpu_start
from devstral_fleet.probes import host as host_probe
from devstral_fleet.shell import LocalShell
from devstral_fleet.workflows import looking, planning
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Target
from tests.support.hosts import host_of, quiet
from tests.support.intents import cpu_host, gpu_host, planned

VARIABLES = {"NCCL_NVLS_ENABLE": "0", "NVSHMEM_DISABLE_NVLS": "1", "TORCH_SYMM_MEM_DISABLE_MULTICAST": "1"}
PREFIXES = catalogs.load().runtimes.hosts.gpu_variables


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine as a host whose GPUs' links take no multicast."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def here(home: Path, **keys: Any) -> Host:
    """A GPU host with this machine's own shell, planned as if it were far away."""
    intent = gpu_host(home=str(home), **keys)
    return host_of(Target(intent, planned(intent)), quiet()[0])


def test_the_probe_reads_those_that_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "=eth0 and=more")
    monkeypatch.setenv("OTHER_NCCL_DEBUG", "INFO")
    layout = HostLayout.of(str(tmp_path))
    found = host_probe.read(LocalShell(), layout, variables=PREFIXES).variables
    assert found == {**VARIABLES, "NCCL_SOCKET_IFNAME": "=eth0 and=more"}
    assert host_probe.read(LocalShell(), layout).variables == {}


def test_every_process_on_the_gpus_gets_them(tmp_path: Path) -> None:
    host = here(tmp_path)
    planned_before = host.plan
    looking.facts_of(host)

    plan = host.plan
    assert plan.environment == {**planned_before.environment, **VARIABLES}
    assert plan.digest != planned_before.digest
    assert host.record.report().plan == plan
    words = [f"{name}={value}" for name, value in VARIABLES.items()]
    assert {f"--env {word}" for word in words} <= set(launch_docker.options(plan, name="engine", kept=True))
    for image in ("", "site/engine:1"):
        assert set(words) <= set(gpu_start.command(plan, image, "python3"))
    assert VARIABLES.items() <= command.environment(plan).items()


def test_the_native_engine_gets_them(tmp_path: Path) -> None:
    host = here(tmp_path, runtime="native", engine_requirements="engine-cpu.lock")
    looking.facts_of(host)
    for name, value in VARIABLES.items():
        assert f"export {name}={value}\n" in launch_start.start(host.plan, "release")
        assert f"{name}={value}" in launch_systemd.write(host.plan)


def test_the_inventory_cannot_say_something_else(tmp_path: Path) -> None:
    host = here(tmp_path, environment={"NCCL_NVLS_ENABLE": "1", "NCCL_DEBUG": "INFO"})
    with pytest.raises(PlanError, match="the host sets NCCL_NVLS_ENABLE=0, fleet_environment 1") as caught:
        looking.facts_of(host)
    assert caught.value.fix == "leave it out of fleet_environment of gpu01"

    same = here(tmp_path, environment={"NCCL_NVLS_ENABLE": "0", "NCCL_DEBUG": "INFO"})
    looking.facts_of(same)
    assert same.plan.environment["NCCL_DEBUG"] == "INFO"


def local(intent: HostIntent) -> HostIntent:
    return intent.model_copy(update={"connection": Connection(kind="local")})


def test_a_plan_of_this_machine_shows_them_and_a_look_changes_nothing_more(tmp_path: Path) -> None:
    intent = local(gpu_host(home=str(tmp_path)))
    plan = planning.with_own_variables(planned(intent), intent)
    console, said = quiet()
    planning.show(console, plan)
    assert "NCCL_NVLS_ENABLE=0" in said.getvalue()
    host = host_of(Target(intent, plan), console)
    looking.facts_of(host)
    assert host.plan == plan


def test_no_other_host_gets_this_machines(tmp_path: Path) -> None:
    far = gpu_host(home=str(tmp_path))
    assert planning.with_own_variables(planned(far), far) == planned(far)
    without = local(cpu_host())
    assert planning.with_own_variables(planned(without), without) == planned(without)
    host = host_of(Target(without, planned(without)), quiet()[0])
    looking.facts_of(host)
    assert host.plan == planned(without)
