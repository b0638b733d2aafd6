"""What was measured on one host at one point of a workload, with what is needed to compare it."""

from collections.abc import Sequence
from statistics import median

from pydantic import Field

from devstral_fleet.bench.goodput import Goodput
from devstral_fleet.bench.parse import BenchResult
from devstral_fleet.bench.usage import GpuUsage
from devstral_fleet.catalog.schema import Workload, WorkloadPoint
from devstral_fleet.intent import Accelerator
from devstral_fleet.model import Value
from devstral_fleet.plan import DeploymentPlan


class Measurement(Value):
    """The repeats of one workload at one concurrency, and the identity of what served them."""

    host: str
    accelerator: Accelerator
    hardware: str
    gpu_count: int
    tp: int
    model: str
    sglang_version: str
    profiles: tuple[str, ...] = ()
    workload: str
    concurrency: int
    num_prompts: int
    expected_input_tokens: int
    """Total that the workload's seed gives."""
    expected_output_tokens: int
    results: tuple[BenchResult, ...] = Field(min_length=1)
    """One for each repeat, in the order they ran."""
    goodput: Goodput | None = None
    usage: tuple[GpuUsage, ...] = ()

    @classmethod
    def of(
        cls,
        plan: DeploymentPlan,
        workload: Workload,
        point: WorkloadPoint,
        results: Sequence[BenchResult],
        *,
        goodput: Goodput | None = None,
        usage: tuple[GpuUsage, ...] = (),
    ) -> "Measurement":
        """Put the results of one point beside the plan that served them."""
        return cls(
            host=plan.host,
            accelerator=plan.accelerator,
            hardware=plan.hardware,
            gpu_count=len(plan.gpus),
            tp=plan.tp,
            model=plan.model,
            sglang_version=plan.sglang_version,
            profiles=plan.profiles,
            workload=workload.name,
            concurrency=point.concurrency,
            num_prompts=point.num_prompts,
            expected_input_tokens=point.total_input_tokens,
            expected_output_tokens=point.total_output_tokens,
            results=tuple(results),
            goodput=goodput,
            usage=usage,
        )

    @property
    def key(self) -> tuple[str, int, int]:
        """What names the point that was measured."""
        return self.workload, self.concurrency, self.num_prompts

    @property
    def failures(self) -> int:
        """Requests without an answer, over all repeats."""
        return sum(result.failures for result in self.results)

    @property
    def requests(self) -> int:
        """Requests asked for, over all repeats."""
        return self.num_prompts * len(self.results)

    @property
    def total_input_tokens(self) -> int:
        return self.results[0].total_input_tokens

    @property
    def total_output_tokens(self) -> int:
        return self.results[0].total_output_tokens

    def numbers(self, metric: str) -> tuple[float, ...]:
        """Return the metric of each repeat that has it."""
        found = (result.number(metric) for result in self.results)
        return tuple(number for number in found if number is not None)

    def median(self, metric: str) -> float | None:
        """Return the median over the repeats, None where this SGLang does not write the metric."""
        numbers = self.numbers(metric)
        return float(median(numbers)) if numbers else None

    def spread_percent(self, metric: str) -> float:
        """Return (largest - smallest) / median of the repeats in percent; 0 for one repeat."""
        numbers = self.numbers(metric)
        middle = self.median(metric)
        return (max(numbers) - min(numbers)) / middle * 100 if middle else 0.0

    def token_problem(self) -> str:
        """Say why the token totals are not what the workload gives; '' when they are."""
        totals = {(result.total_input_tokens, result.total_output_tokens) for result in self.results}
        if len(totals) > 1:
            return "the repeats differ in their token totals: " + ", ".join(f"{i}/{o}" for i, o in sorted(totals))
        expected = (self.expected_input_tokens, self.expected_output_tokens)
        found = (self.total_input_tokens, self.total_output_tokens)
        for name, want, have in zip(("input", "output"), expected, found):
            if want != have:
                return f"{name} tokens are {have}, the workload gives {want}"
        return ""
