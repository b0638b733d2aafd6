"""A host's own baselines: `<inventory directory>/baselines/<host>.json`, for the site to keep under version control."""

import json
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.bench.parse import BenchResult
from devstral_fleet.catalog.accuracy import AccuracyBaseline
from devstral_fleet.catalog.reading import read_baselines
from devstral_fleet.catalog.schema import Baseline, BaselineFile
from devstral_fleet.errors import CatalogError, VerificationError

RECORDED = tuple(name for name in BenchResult.model_fields if name.endswith(("_ms", "_throughput")))
"""Metrics that a baseline keeps: all latencies and throughputs, whichever of them judge later."""
PROVENANCE = "measured by sglang.bench_serving on this host"


def path(inventory_directory: Path, host: str) -> Path:
    """Return where a host's baselines lie."""
    if not host or host.startswith(".") or Path(host).name != host:
        raise CatalogError(f"'{host}' cannot name a file of baselines", fix="rename the host in the inventory")
    return inventory_directory / "baselines" / f"{host}.json"


def load(inventory_directory: Path, host: str) -> tuple[Baseline, ...]:
    """Read a host's own baselines; () where none were recorded.

    Raises:
        CatalogError: the file is no JSON or breaks the schema; the message names file, line and key.
    """
    return _read(path(inventory_directory, host)).baselines


def load_accuracy(inventory_directory: Path, host: str) -> tuple[AccuracyBaseline, ...]:
    """Read the accuracies that were recorded on a host; raises as `load` does."""
    return _read(path(inventory_directory, host)).accuracy


def record(measurement: Measurement, *, repeats: int, now: datetime | None = None) -> Baseline:
    """Make a baseline of a measurement.

    Args:
        repeats: how many runs were asked for; fewer results are a partial run.

    Raises:
        VerificationError: requests were lost, repeats are missing, or the token totals are not the workload's.
    """
    _refuse_unsound(measurement, repeats)
    medians = {name: measurement.median(name) for name in RECORDED}
    metrics = {name: value for name, value in medians.items() if value is not None}
    return Baseline(
        name=f"{measurement.host}-{measurement.model}",
        accelerator=measurement.accelerator,
        hardware=measurement.hardware,
        gpu_count=measurement.gpu_count,
        tp=measurement.tp,
        model=measurement.model,
        sglang_version=measurement.sglang_version,
        profiles=measurement.profiles,
        workload=measurement.workload,
        concurrency=measurement.concurrency,
        num_prompts=measurement.num_prompts,
        total_input_tokens=measurement.total_input_tokens,
        total_output_tokens=measurement.total_output_tokens,
        metrics=metrics,
        provenance=PROVENANCE,
        recorded=(now or datetime.now(UTC)).date().isoformat(),
        host=measurement.host,
        spread_percent={name: measurement.spread_percent(name) for name in metrics},
    )


def save(inventory_directory: Path, host: str, baselines: Sequence[Baseline]) -> Path:
    """Write baselines into the host's file, whole or not at all.

    A row of the same model, profiles and point is replaced, others stay.
    """
    target = path(inventory_directory, host)
    before = _read(target)
    rows = {_key(baseline): baseline for baseline in (*before.baselines, *baselines)}
    return _write(target, before.model_copy(update={"baselines": tuple(rows[key] for key in sorted(rows))}))


def save_accuracy(inventory_directory: Path, host: str, accuracy: AccuracyBaseline) -> Path:
    """Write an accuracy into the host's file in the same way; the same model, benchmark and shots is replaced."""
    target = path(inventory_directory, host)
    before = _read(target)
    rows = {(row.model, row.benchmark, row.num_shots): row for row in (*before.accuracy, accuracy)}
    return _write(target, before.model_copy(update={"accuracy": tuple(rows[key] for key in sorted(rows))}))


def _refuse_unsound(measurement: Measurement, repeats: int) -> None:
    problem = measurement.token_problem()
    if measurement.failures:
        problem = f"{measurement.failures} of {measurement.requests} requests got no answer"
    elif len(measurement.results) < repeats:
        problem = f"only {len(measurement.results)} of {repeats} repeats have a result"
    if problem:
        point = f"{measurement.workload} at {measurement.concurrency}"
        raise VerificationError(
            f"{measurement.host}: no baseline was saved of {point}: {problem}",
            fix="find out why in the engine's log, then run the benchmark again",
            host=measurement.host,
        )


def _key(baseline: Baseline) -> tuple[str, tuple[str, ...], str, int]:
    return baseline.model, baseline.profiles, baseline.workload, baseline.concurrency


def _read(file: Path) -> BaselineFile:
    return read_baselines(file) if file.exists() else BaselineFile()


def _write(target: Path, content: BaselineFile) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(content.model_dump(mode="json"), indent=2) + "\n")
        Path(partial).chmod(0o644)
        Path(partial).replace(target)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    return target
