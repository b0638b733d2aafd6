"""Which GPUs of a host an engine has, and two engines on one machine."""

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet import launch_docker
from devstral_fleet.errors import PlanError
from devstral_fleet.intent import HostIntent
from devstral_fleet.resolve import resolve_all
from tests.support.intents import SOURCES, cpu_host, gpu_host, planned

CATALOG = catalogs.load()


def test_two_engines_on_one_machine_have_each_their_own_gpus() -> None:
    first = gpu_host(name="a", model="devstral-2", gpus=(0, 1, 2, 3))
    second = gpu_host(name="b", model="devstral-2", gpus=(4, 5, 6, 7), home="/opt/second", port=30001)
    plans = resolve_all([first, second], CATALOG, SOURCES)
    assert [plans[name].gpus for name in "ab"] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert ("--gpus", '"device=4,5,6,7"') in launch_docker.devices(plans["b"])
    with pytest.raises(PlanError, match="GPU 4 is a's too, on the same machine; give each its own fleet_gpus"):
        resolve_all([first.model_copy(update={"gpus": (4,), "model": "devstral-small-2"}), second], CATALOG, SOURCES)


def test_replicas_take_the_first_of_their_gpus() -> None:
    plans = [planned(gpu_host(gpu_count=2, gpus=(index,))) for index in (0, 1)]
    assert [(plan.tp, plan.gpus) for plan in plans] == [(1, (0,)), (1, (1,))]


@pytest.mark.parametrize(
    ("vendor", "hardware", "variables"),
    [
        ("nvidia", "h100", {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "6,7"}),
        ("amd", "mi300x", {"HIP_VISIBLE_DEVICES": "6,7"}),
    ],
)
def test_a_native_engine_sees_no_other_gpus(vendor: str, hardware: str, variables: dict[str, str]) -> None:
    keys = {"accelerator": vendor, "hardware": hardware, "runtime": "native", "engine_requirements": "engine-cpu.lock"}
    plan = planned(gpu_host(**keys, gpus=(6, 7), tensor_parallel=2))
    assert variables.items() <= plan.environment.items()
    assert not variables.keys() & planned(gpu_host(**keys)).environment.keys()


@pytest.mark.parametrize(
    ("intent", "problem"),
    [
        (gpu_host(gpus=(0, 0)), "names a GPU twice"),
        (gpu_host(gpus=(7, 8)), "names GPU 8 and fleet_gpu_count is 8; the first GPU is 0"),
        (cpu_host(gpus=(0,)), "fleet_gpus is for a host with GPUs"),
        (gpu_host(gpus=(0, 1), model="devstral-2"), "does not fit on 2 x h100"),
    ],
)
def test_gpus_that_cannot_be(intent: HostIntent, problem: str) -> None:
    with pytest.raises(PlanError, match=problem):
        planned(intent)
