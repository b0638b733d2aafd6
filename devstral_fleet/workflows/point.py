"""Measure one point beside the engine: each repeat a job that survives a dropped connection, its GPUs sampled."""

import time
from collections.abc import Callable, Sequence

from devstral_fleet import job
from devstral_fleet.bench import command, parse, usage
from devstral_fleet.bench.goodput import Answered, goodput
from devstral_fleet.bench.live import Place
from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.bench.parse import BenchResult
from devstral_fleet.bench.selection import Chosen
from devstral_fleet.bench.usage import GpuLook
from devstral_fleet.errors import VerificationError
from devstral_fleet.job import Job, JobState
from devstral_fleet.probes import bench_result
from devstral_fleet.workflows import sampling
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.live import LiveView

BENCH_DEADLINE_S = 3600.0
SHOWN_LINES = 20
Repeat = tuple[BenchResult, Answered, tuple[GpuLook, ...]]


def measure(
    host: Host, run_id: str, chosen: Chosen, places: Sequence[Place], began_s: float, clock: Callable[[], float]
) -> Measurement:
    """Measure a point once for each of its places; `began_s` is when the whole benchmark began, by `clock`."""
    with host.record.phase(f"bench {chosen.name}"):
        repeats = [
            _one(host, f"{run_id}-{chosen.workload.name}-{chosen.point.concurrency}-{place.repeat}", chosen, view)
            for place in places
            for view in [LiveView(host, place, began_s, clock)]
        ]
        results, answered, looks = zip(*repeats, strict=True)
        measured = Measurement.of(
            host.plan,
            *chosen,
            results,
            goodput=goodput(chosen.workload.objective, answered),
            usage=usage.usage([look for each in looks for look in each]),
        )
        host.record.console.result(f"{measured.median('output_throughput') or 0:.0f} tok/s")
    return measured


def _one(host: Host, job_id: str, chosen: Chosen, view: LiveView) -> Repeat:
    """Run one benchmark as a job on the host and parse what it wrote."""
    running = _start(host, job_id, chosen)
    sampler = sampling.start(host, running)
    state = job.wait(
        host.shell, running, deadline_s=BENCH_DEADLINE_S, clock=time.monotonic, sleep=time.sleep, on_progress=view.show
    )
    if state.exit_status != 0:
        raise _broken(host, state)
    looks = sampling.collect(host, sampler)
    written = bench_result.read(host.shell, host.layout.jobs / job_id / command.OUTPUT)
    result = parse.parse(written.line, num_prompts=chosen.point.num_prompts, secrets=(host.api_key(),))
    answered = Answered(asked=result.num_prompts, seconds=result.duration, requests=written.requests)
    return result, answered, looks


def _start(host: Host, job_id: str, chosen: Chosen) -> Job:
    directory = host.layout.jobs / job_id
    environment = command.environment(host.plan)
    passed = [f"--env={name}" for name in (*environment, command.KEY_VARIABLE)]  # by name: no value is in an argv
    python = host.python("--user=0", *passed)
    output = str(directory / command.OUTPUT)
    words = command.argv(host.plan, *chosen, python=python, output_file=output, cache_key=job_id)
    return job.start(
        host.shell,
        directory,
        words,
        environment=environment,
        secret_environment={command.KEY_VARIABLE: str(host.layout.secrets / "api.key")},
    )


def _broken(host: Host, state: JobState) -> VerificationError:
    return VerificationError(
        f"{host.name}: the benchmark ended with exit status {state.exit_status}",
        fix=f".venv/bin/invoke logs --host {host.name}",
        evidence=(state.stderr_tail or state.stdout_tail).splitlines()[-SHOWN_LINES:],
        host=host.name,
    )
