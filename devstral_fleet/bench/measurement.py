"""What was measured on one host at one point of a workload, with what is needed to compare it."""

from statistics import median

from pydantic import Field

from devstral_fleet.bench.parse import BenchResult
from devstral_fleet.model import Value


class Measurement(Value):
    """The repeats of one workload at one concurrency, and the identity of what served them."""

    host: str
    hardware: str
    gpu_count: int
    tp: int
    model: str
    sglang_version: str
    workload: str
    concurrency: int
    num_prompts: int
    expected_input_tokens: int | None = None
    """Total the workload gives with the model's tokenizer; None where it is not known beforehand."""
    expected_output_tokens: int | None = None
    results: tuple[BenchResult, ...] = Field(min_length=1)
    """One for each repeat, in the order they ran."""

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
            if want is not None and want != have:
                return f"{name} tokens are {have}, the workload gives {want}"
        return ""
