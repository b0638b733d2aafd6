"""What the GPUs did beside a benchmark: read from the sampler's lines, put together, judged."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from devstral_fleet import catalog as catalogs
from devstral_fleet.bench.usage import KEPT_SAMPLES, GpuLook, UsageSample, shared, throttled, usage
from devstral_fleet.facts import AcceleratorFacts, GpuProcess
from devstral_fleet.probes import gpu_usage, nvidia
from tests.support.tree import PACKAGE
from tests.unit.bench_samples import measurement

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases" / "usage" / "samplers.yml").read_text())
LIMITS = catalogs.load().limits


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_lines_of_a_sampler(case: dict[str, Any]) -> None:
    looks = gpu_usage.parse("\n".join(case["lines"]) + "\n", case["accelerator"])
    found = [
        [one.gpu, sample.power_w, sample.sm_clock_mhz, sample.temperature_c, sample.utilization_percent, one.reasons]
        for one in looks
        for sample in [one.sample]
    ]
    assert found == [[*numbers, None if reasons is None else tuple(reasons)] for *numbers, reasons in case["looks"]]


def test_times_count_from_the_points_first_sample() -> None:
    looks = gpu_usage.parse("\n".join(CASES[0]["lines"]), "nvidia")
    (gpu,) = usage(looks)
    assert [sample.offset_s for sample in gpu.samples] == [0.0, 7.0, 8.0, 21.0]


def test_the_sampler_of_the_plans_gpus_alone() -> None:
    words = gpu_usage.argv("nvidia", (0, 2), 4711)
    assert words[:2] == ("sh", "-c")
    assert words[3:] == (
        *("watch", "4711", "nvidia-smi", "--id=0,2"),
        "--query-gpu=index,timestamp,power.draw,clocks.sm,temperature.gpu,utilization.gpu,clocks_event_reasons.active",
        *("--format=csv,noheader,nounits", "--loop-ms=1000"),
    )
    assert gpu_usage.argv("amd", (0, 2), 4711)[-2:] == ("0", "2")
    assert gpu_usage.argv("cpu", (), 4711) == ()


def test_the_sampler_sets_nothing() -> None:
    """No option of nvidia-smi that changes a card, and no file that is written."""
    options = [word.partition("=")[0] for word in gpu_usage.argv("nvidia", (0,), 1)[6:]]
    assert options == ["--id", "--query-gpu", "--format", "--loop-ms"]
    assert ">" not in gpu_usage.AMD.replace("2>/dev/null", "")


def look(gpu: int, second: float, *reasons: str, power_w: float = 700.0) -> GpuLook:
    return GpuLook(gpu=gpu, sample=UsageSample(offset_s=second, power_w=power_w), reasons=reasons)


def test_a_share_is_of_the_samples_at_work() -> None:
    idle = [look(0, second, "gpu_idle") for second in range(90)]
    work = [look(0, 90 + second, "sw_power_cap") for second in range(9)]
    (gpu,) = usage([*idle, *work, look(0, 99, "sw_power_cap", "sw_thermal_slowdown")])
    assert gpu.throttle_reasons == ("sw_power_cap", "sw_thermal_slowdown")
    assert gpu.throttled_percent == {"sw_power_cap": 100.0, "sw_thermal_slowdown": 10.0}


def test_a_long_point_keeps_means_of_neighbours() -> None:
    (gpu,) = usage([look(0, second, power_w=float(second % 2)) for second in range(KEPT_SAMPLES * 2)])
    assert len(gpu.samples) == KEPT_SAMPLES
    assert {sample.power_w for sample in gpu.samples} == {0.5}
    assert gpu.samples[-1].offset_s == KEPT_SAMPLES * 2 - 2


def test_nothing_seen_is_nothing() -> None:
    assert usage([]) == ()
    assert throttled([measurement()], LIMITS) == ()


def test_heat_is_a_finding_and_the_power_limit_is_none() -> None:
    capped = usage([look(0, second, "sw_power_cap") for second in range(10)])
    (fine,) = throttled([measurement().model_copy(update={"usage": capped})], LIMITS)
    assert (fine.check, fine.state) == ("gpu-throttled", "ok")
    hot = usage([look(1, second, "sw_power_cap", "hw_thermal_slowdown") for second in range(10)])
    (found,) = throttled([measurement().model_copy(update={"usage": (*capped, *hot)})], LIMITS)
    assert (found.check, found.state) == ("gpu-throttled", "warn")
    assert found.evidence == ("chat at 16: GPU 1: hw_thermal_slowdown in 100 % of the samples at work",)


def test_a_moment_of_heat_is_none() -> None:
    looks = [look(0, second, *(["hw_thermal_slowdown"] if second == 0 else [])) for second in range(100)]
    (found,) = throttled([measurement().model_copy(update={"usage": usage(looks)})], LIMITS)
    assert found.state == "ok"


def test_a_driver_that_does_not_say_what_holds_it_is_not_called_free() -> None:
    silent = usage([GpuLook(gpu=0, sample=UsageSample(offset_s=0.0))])
    assert silent[0].throttled_percent is None
    assert throttled([measurement().model_copy(update={"usage": silent})], LIMITS) == ()


def facts(*processes: GpuProcess) -> AcceleratorFacts:
    """The recorded GPU twice; the second has the processes."""
    seen = nvidia.parse("status=0\ntoolkit=\nours=\n\n" + (PACKAGE / "lab" / "recorded" / "h100.xml").read_text())
    second = seen.gpus[0].model_copy(update={"index": 1, "processes": processes})
    return seen.model_copy(update={"gpus": (seen.gpus[0], second)})


@pytest.mark.parametrize(("gpus", "state"), [((0, 1), "warn"), ((0,), "ok")])
def test_another_program_on_the_plans_gpus(gpus: tuple[int, ...], state: str) -> None:
    ours = GpuProcess(pid=7, name="sglang", kind="C", memory_mib=70000, ours=True)
    other = GpuProcess(pid=8, name="python", kind="C", memory_mib=512, ours=False)
    found = shared(gpus, [facts(ours), facts(ours, other)])
    assert (found.check, found.state) == ("gpu-shared", state)
    assert found.evidence == (("GPU 1: python (pid 8) holds 512 MiB",) if state == "warn" else ())
