"""Which points of which workloads a benchmark measures, and how long the next one will take (pure)."""

from collections.abc import Sequence
from typing import NamedTuple

from devstral_fleet.bench import lengths
from devstral_fleet.bench.goodput import Objective
from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.catalog import Catalog
from devstral_fleet.catalog.schema import Workload, WorkloadPoint
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.findings import Finding, finding
from devstral_fleet.plan import DeploymentPlan

ALL = "all"
PROMPTS_EACH = 5
LEAST_PROMPTS = 10
"""Prompts of a level that the catalog does not have: as many for each request in flight as the cookbook's."""
MARGIN = 1.2
"""An estimate is longer than the tokens alone: prompts are read, and the last requests run with fewer beside them."""


class Chosen(NamedTuple):
    """One point to measure."""

    workload: Workload
    point: WorkloadPoint

    @property
    def name(self) -> str:
        return f"{self.workload.name} at {self.point.concurrency}"

    @property
    def key(self) -> tuple[str, int, int]:
        """As the measurement's."""
        return self.workload.name, self.point.concurrency, self.point.num_prompts

    def with_objective(self, objective: Objective) -> "Chosen":
        """The same point, its requests judged by another objective."""
        return self._replace(workload=self.workload.model_copy(update={"objective": objective}))


def choose(
    catalog: Catalog, plan: DeploymentPlan, *, workload: str = "", concurrency: Sequence[int] = ()
) -> tuple[Chosen, ...]:
    """Return the points, those that take longest last.

    Args:
        workload: a catalog name, ALL for those of the plan's accelerator, '' for the host's own smoke workload.
        concurrency: levels, those of the catalog or others; () for the catalog's, of the smoke workload its one.

    Raises:
        ConfigurationError: there is no such workload, or none fits the plan's context.
    """
    if workload == ALL:
        wanted = [one for one in catalog.workloads.values() if plan.accelerator in one.accelerators]
    else:
        wanted = [catalog.workload(workload or plan.smoke_workload)]
    fitting = [one for one in wanted if one.input_tokens + one.output_tokens <= plan.context_length]
    if not fitting:
        longest = min(one.input_tokens + one.output_tokens for one in wanted)
        raise ConfigurationError(
            f"{plan.host}: a request of {longest} tokens does not fit its context of {plan.context_length}",
            fix="choose a smaller --workload, or raise fleet_context_length",
            host=plan.host,
        )
    found = (Chosen(one, point) for one in fitting for point in _points(one, workload, concurrency))
    return tuple(sorted(found, key=lambda one: one.point.total_output_tokens / one.point.concurrency))


def _points(one: Workload, asked: str, concurrency: Sequence[int]) -> tuple[WorkloadPoint, ...]:
    if not concurrency:
        return one.points if asked else (one.smoke_point,)
    return tuple(one.point(level) or _other(one, level) for level in concurrency)


def _other(workload: Workload, level: int) -> WorkloadPoint:
    prompts = max(LEAST_PROMPTS, PROMPTS_EACH * level)
    inputs, outputs = lengths.totals(workload, prompts)
    return WorkloadPoint(concurrency=level, num_prompts=prompts, total_input_tokens=inputs, total_output_tokens=outputs)


def words(workload: str, concurrency: Sequence[int]) -> str:
    """Return the options of `bench` that choose the same points again; '' for the smoke workload's one."""
    options = [f"--workload {workload}"] if workload else []
    options += [f"--concurrency {','.join(map(str, concurrency))}"] if concurrency else []
    return " ".join(options)


def baseline_command(host: str, options: str = "") -> str:
    """Return the command that records what was measured as a host's baseline; `options`: the `words` of its points."""
    return " ".join(filter(None, (f".venv/bin/invoke bench --host {host}", options, "--save-baseline")))


def estimate_s(measured: Sequence[Measurement], chosen: Chosen, repeats: int, *, around_s: float) -> float:
    """Return about how many seconds a point will take, by the time per token that was measured nearest to it.

    0 where nothing was measured yet. `around_s`: what a repeat takes beside its requests, its start and its warm-up.
    """
    known = [one for one in measured if one.median("median_tpot_ms")]
    if not known:
        return 0.0
    nearest = min(known, key=lambda one: abs(one.concurrency - chosen.point.concurrency))
    token_s = (nearest.median("median_tpot_ms") or 0.0) / 1000
    requests_s = chosen.point.total_output_tokens / chosen.point.concurrency * token_s * MARGIN
    return (requests_s + around_s) * repeats


def left_out(rest: Sequence[Chosen], needed_s: float, left_s: float, run_id: str) -> tuple[Finding, ...]:
    """Say which points the time limit left out; the first of them would have taken `needed_s`."""
    names = ", ".join(one.name for one in rest)
    summary = f"left out: {names}; the next takes about {needed_s:.0f} s, of the limit {max(left_s, 0):.0f} s are left"
    return (finding("bench-left-out", "warn", summary, f"raise --time-limit, with --resume {run_id}"),)


def partial(done: int, wanted: int, run_id: str) -> tuple[Finding, ...]:
    """Say how far a benchmark came that was broken off; what it has measured is kept."""
    summary = f"{done} of {wanted} points were measured before it ended"
    return (finding("bench-partial", "warn", summary, f"--resume {run_id} goes on from there"),)
