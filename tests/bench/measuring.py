"""What the way around a benchmark costs: `measure()` beside bench_serving's own process, against the replay engine.

The engine's requests wait as long as a small model's on a GPU; nothing computes, so what differs is the way around.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from devstral_fleet import catalog as catalogs
from devstral_fleet.bench import command
from devstral_fleet.bench.selection import Chosen
from devstral_fleet.workflows import measuring
from tests.support.engine.measured import EngineHost, engine_host
from tests.support.engine.model import write_model
from tests.support.engine.wheel import unpack
from tests.support.hosts import quiet
from tests.support.ports import free_port
from tests.support.real_engine import EngineWish, serve

GENERATE_MS = 6000
"""Of a request: the benchmark then takes a minute, as chat at 16 does on one H100, its start and warm-up included."""
REPEATS = 2


def point() -> Chosen:
    """The point that a deploy to a CPU host runs."""
    workload = catalogs.load().workload("chat-smoke")
    return Chosen(workload, workload.smoke_point)


def by_hand_s(host: EngineHost, folder: Path, key: str) -> float:
    """Run the benchmark's own process REPEATS times, one after the other; return the seconds of all."""
    environment = {**os.environ, **command.environment(host.plan), command.KEY_VARIABLE: key}
    start = time.perf_counter()
    for number in range(REPEATS):
        output = str(folder / f"{number}.jsonl")
        words = command.argv(host.plan, *point(), python=host.python(), output_file=output, cache_key=str(number))
        subprocess.run(words, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def measured_s(host: EngineHost) -> float:
    """Measure the same with all that the product does around it."""
    start = time.perf_counter()
    measuring.measure(host, "speed", (point(),), REPEATS)
    return time.perf_counter() - start


def both_s(folder: Path) -> tuple[float, float]:
    """Return the seconds of the product's way, and of the bare processes."""
    environment = {"PYTHONPATH": str(unpack(folder)), "REPLAY_GENERATE_MS": str(GENERATE_MS)}
    model = write_model(folder / "devstral-tiny", context_length=32768)
    wish = EngineWish(Path(sys.executable), model, folder, free_port(), environment=environment)
    with serve(wish, deadline_s=60.0) as engine:
        host = engine_host(engine, wish, folder / "home", quiet()[0])
        bare_s = by_hand_s(host, folder, engine.api_key)
        return measured_s(host), bare_s
