"""Schema of accuracy.yml, and of a measured accuracy: how right a served model's answers are."""

from typing import Self

from pydantic import Field, model_validator

from devstral_fleet.intent import Accelerator
from devstral_fleet.model import Value


class AccuracyBenchmark(Value):
    """A benchmark of questions with one right number each. The comment in accuracy.yml says how they are asked."""

    name: str
    title: str
    file: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    """What the file of questions is called wherever it is kept."""
    url: str = Field(pattern=r"^https://")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(gt=0)
    rows: int = Field(gt=0)
    licence: str
    num_shots: int = Field(gt=0)
    num_questions: int = Field(gt=0)
    max_new_tokens: int = Field(gt=0)
    parallel: dict[Accelerator, int]
    """Requests in flight, by what serves them."""
    least_judged_questions: int = Field(gt=0)
    standard_errors: float = Field(gt=0)
    deadline_s: int = Field(gt=0)

    @model_validator(mode="after")
    def _asks_what_is_there(self) -> Self:
        if max(self.num_questions, self.num_shots) > self.rows:
            raise ValueError(f"the file has {self.rows} rows, fewer than are asked")
        if set(self.parallel) != {"nvidia", "amd", "cpu"}:
            raise ValueError("parallel must name nvidia, amd and cpu")
        return self


class AccuracyBaseline(Value):
    """One measured accuracy: a share of right answers, 0 to 1. It is the model's, whatever hardware served it."""

    name: str
    accelerator: Accelerator
    hardware: str
    gpu_count: int = Field(ge=0)
    model: str
    benchmark: str
    num_shots: int
    num_questions: int = Field(gt=0)
    accuracy: float = Field(ge=0, le=1)
    invalid: float = Field(ge=0, le=1)
    latency_s: float
    output_throughput: float
    provenance: str
    recorded: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}")
