"""A benchmark beside an engine, for real on this machine: goodput, the GPUs' samples, the moving line.

nvidia-smi is a stand-in that repeats the lines that one printed under load; what starts, ends and reads it is real.
"""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstral_fleet import catalog as catalogs
from devstral_fleet import job
from devstral_fleet.bench.goodput import Objective
from devstral_fleet.bench.selection import Chosen
from devstral_fleet.catalog.schema import WorkloadPoint
from devstral_fleet.errors import ProbeError
from devstral_fleet.facts import AcceleratorFacts
from devstral_fleet.job import Job
from devstral_fleet.workflows import measuring, sampling
from devstral_fleet.workflows.looking import GPU_PROBES
from tests.support.engine.measured import EngineHost, engine_host
from tests.support.fleet import until
from tests.support.hosts import quiet
from tests.support.real_engine import EngineWish, RunningEngine
from tests.support.tree import ROOT

SAMPLERS = yaml.safe_load((ROOT / "tests" / "unit" / "cases" / "usage" / "samplers.yml").read_text())
RECORDED = [line for line in SAMPLERS[0]["lines"] if line.endswith("4")]
POINT = WorkloadPoint(concurrency=4, num_prompts=24, total_input_tokens=1438, total_output_tokens=810)
NOBODY = AcceleratorFacts(driver="580.159.04", detail="", cuda="", gpus=())


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for nvidia-smi on the PATH; the file that is returned gets the words it was started with."""
    program, words = tmp_path / "bin" / "nvidia-smi", tmp_path / "words"
    program.parent.mkdir()
    lines = "\n".join(RECORDED)
    program.write_text(f"#!/bin/sh\necho $$ $* >>{words}\nwhile :; do echo '{lines}'; sleep 0.1; done\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return words


@pytest.fixture
def host(replay_engine: RunningEngine, replay_wish: EngineWish, tmp_path: Path) -> EngineHost:
    """A host of one NVIDIA GPU, as far as its plan says."""
    console, _ = quiet()
    return engine_host(replay_engine, replay_wish, tmp_path / "home", console, accelerator="nvidia", gpus=(0,))


@pytest.fixture
def waiting(host: EngineHost, tmp_path: Path) -> Iterator[Job]:
    """A job that ends when somebody writes into `go`."""
    os.mkfifo(tmp_path / "go")
    yield job.start(
        host.shell,
        host.layout.jobs / "bench",
        ["sh", "-c", f"read line <{tmp_path}/go"],
        environment={},
        secret_environment={},
    )
    job.clear(host.shell, host.layout.jobs)


def chosen(**objective: float) -> Chosen:
    workload = catalogs.load().workload("chat-smoke")
    return Chosen(workload, POINT).with_objective(Objective(**objective)) if objective else Chosen(workload, POINT)


def pid_of(words: Path) -> int:
    until(lambda: words.exists() and words.read_text().endswith("\n"), 30, "the sampler starts")
    return int(words.read_text().split()[0])


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def checks(host: EngineHost) -> dict[str, str]:
    return {finding.check: finding.state for finding in host.record.known.get("findings_after", ())}


def test_a_measurement_has_samples_of_its_gpus_and_goodput(
    host: EngineHost, nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GPU_PROBES, "nvidia", lambda *_: NOBODY)
    steps: list[str] = []
    monkeypatch.setattr(host.record.console, "step", steps.append)

    measuring.measure(host, "run-1", (chosen(),), 2)

    (row,) = host.record.known["bench"]
    (gpu,) = row.usage
    assert (gpu.gpu, gpu.throttle_reasons, gpu.throttled_percent) == (0, ("sw_power_cap",), {"sw_power_cap": 100.0})
    assert gpu.samples[0].power_w == pytest.approx(588.0, abs=110)
    assert row.goodput.good_percent == 100.0
    assert row.goodput.requests_per_s == pytest.approx(row.medians["request_throughput"])
    assert checks(host) == {"gpu-shared": "ok"}
    assert any("24/24 requests" in step or "finished" in step for step in steps), steps
    started = [line.split(maxsplit=1) for line in nvidia_smi.read_text().splitlines()]
    assert len(started) == 2
    assert all(words.startswith("--id=0 --query-gpu=index,timestamp,") for _, words in started)
    assert not [pid for pid, _ in started if alive(int(pid))]
    assert not list((Path(host.plan.home) / "jobs").iterdir())


def test_an_objective_that_nothing_keeps(host: EngineHost, nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not nvidia_smi.exists()
    monkeypatch.setitem(GPU_PROBES, "nvidia", lambda *_: NOBODY)
    measuring.measure(host, "run-1", (chosen(ttft_ms=0.1, tpot_ms=50),), 1)
    (row,) = host.record.known["bench"]
    assert (row.goodput.good_percent, row.goodput.requests_per_s) == (0.0, 0.0)


def test_the_sampler_ends_with_what_it_watches(
    host: EngineHost, nvidia_smi: Path, waiting: Job, tmp_path: Path
) -> None:
    sampler = sampling.start(host, waiting)
    assert sampler is not None
    pid = pid_of(nvidia_smi)
    assert alive(pid)
    (tmp_path / "go").write_text("now\n")
    until(lambda: not alive(pid), 30, "the sampler ends")
    assert sampling.collect(host, sampler)
    assert checks(host) == {}


def test_the_sampler_does_not_outlive_a_benchmark_that_was_killed(
    host: EngineHost, nvidia_smi: Path, waiting: Job
) -> None:
    assert sampling.start(host, waiting)
    pid = pid_of(nvidia_smi)
    os.killpg(waiting.pid, signal.SIGKILL)
    until(lambda: not alive(pid), 30, "the sampler ends")


def test_clearing_the_jobs_ends_the_sampler(host: EngineHost, nvidia_smi: Path, waiting: Job) -> None:
    assert sampling.start(host, waiting)
    pid = pid_of(nvidia_smi)
    job.clear(host.shell, host.layout.jobs)
    assert not alive(pid)


def test_a_host_without_nvidia_smi_is_measured_and_warned(host: EngineHost, waiting: Job) -> None:
    for _ in range(2):
        assert sampling.collect(host, sampling.start(host, waiting)) == ()
        (found,) = host.record.known["findings_after"]
        assert (found.check, found.state) == ("gpu-usage", "warn")
    assert "nvidia-smi" in found.evidence[0]


def test_a_look_at_the_gpus_that_fails_is_a_warning(host: EngineHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> AcceleratorFacts:
        raise ProbeError("local: the nvidia probe failed")

    monkeypatch.setitem(GPU_PROBES, "nvidia", broken)
    with sampling.unshared(host):
        pass
    assert checks(host) == {"gpu-shared": "warn"}
