"""What a catalog file may say. Strict: an unknown key, a wrong type or a missing key is an error of that file.

Units are in the names: `_gib` is 2^30 bytes, `_mib` 2^20 bytes, `_s` seconds, `_percent` of 100, lengths are tokens.
"""

from typing import Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from devstral_fleet.bench.goodput import Objective
from devstral_fleet.catalog.accuracy import AccuracyBaseline
from devstral_fleet.catalog.host_rules import HostRules
from devstral_fleet.catalog.starts import StartRules
from devstral_fleet.intent import Accelerator
from devstral_fleet.model import Value


class Model(Value):
    """A model that can be served. Sizes describe one copy of the weights."""

    name: str
    title: str
    source: Literal["hub", "generated"]
    repository: str
    revision: str | None
    served_model_name: str
    architecture: str
    precision: Literal["fp8", "bf16"]
    vision: bool
    accelerators: tuple[Accelerator, ...]
    layers: int = Field(gt=0)
    hidden_size: int = Field(gt=0)
    attention_heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    head_dim: int = Field(gt=0)
    vocabulary: int = Field(gt=0)
    weights_gib: float = Field(gt=0)
    files_gib: float = Field(gt=0)
    exclude: tuple[str, ...]
    """Patterns of files that are not downloaded."""
    default_context_length: int = Field(gt=0)
    minimum_context_length: int = Field(gt=0)
    """Shortest context a plan lowers to by itself; a shorter one must be asked for."""
    maximum_context_length: int = Field(gt=0)
    tool_call_parser: str
    temperature: float
    tensor_parallel: dict[str, int]
    """GPU name to the cookbook's tensor parallelism."""
    drain_deadline_s: int = Field(gt=0)
    """Seconds that a stopping engine may take to finish its requests."""
    health_deadline_s: int = Field(gt=0)
    host_memory_gib: float = Field(gt=0)
    licence: str
    gated: bool
    recipe: dict[str, int | str] = Field(default_factory=dict)
    """What makes a generated model's files."""
    weightless: str = ""
    """File of the role model_files that describes the model without its weights (`fleet_load_format: dummy`)."""
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.minimum_context_length <= self.default_context_length <= self.maximum_context_length:
            raise ValueError("context lengths must be minimum <= default <= maximum")
        if (self.source == "generated") != bool(self.recipe):
            raise ValueError("a generated model has a recipe, and only a generated one")
        return self

    def kv_bytes_per_token(self, tp: int, bytes_per_number: int) -> int:
        """Bytes of one token's keys and values on one of `tp` GPUs; heads are copied once tp exceeds their number."""
        return 2 * self.layers * self.kv_heads * self.head_dim * bytes_per_number // min(tp, self.kv_heads)

    def divides(self, tp: int) -> bool:
        """Whether SGLang can split this model's attention heads over `tp` GPUs."""
        return self.attention_heads % tp == 0 and max(self.kv_heads, tp) % min(self.kv_heads, tp) == 0


class Gpu(Value):
    """An accelerator. `cpu` is one of them, with no memory of its own."""

    name: str
    title: str
    accelerator: Accelerator
    pci_ids: tuple[str, ...]
    """`vendor:device`, four hexadecimal digits each."""
    memory_mib: int = Field(ge=0)
    architecture: str
    fp8: Literal["native", "weight-only", "none"]
    attention_backend: str
    images: tuple[str, ...]
    """Catalog names of images, the preferred one first."""
    smoke_workload: str
    host_bandwidth_gb_s: float = Field(default=0, ge=0)
    """Least speed (10^9 bytes a second) of pinned host memory to it and back; 0 where nobody has said one."""
    all_reduce_gb_s: dict[int, float] = Field(default_factory=dict)
    """Least bus bandwidth of an all-reduce, by the number of GPUs."""
    all_to_all_gb_s: float = Field(default=0, ge=0)
    """Least average of every GPU's copies to every other, AMD; 0 where nobody has said one."""
    notes: tuple[str, ...] = ()

    @property
    def memory_gib(self) -> float:
        return self.memory_mib / 1024


class Image(Value):
    """A container image of a registry; `tag` holds `{sglang}` where the version goes."""

    name: str
    accelerator: Accelerator
    recipe: Literal["cuda", "rocm", "cpu"]
    """Folder of docker/ whose Dockerfile makes ours from it."""
    carries_engine: bool
    """Whether SGLang is in it, so that a host can run it as it is."""
    base: str
    """What its publisher built it from."""
    repository: str
    tag: str
    driver_minimum: str
    disk_gib: float = Field(gt=0)

    def reference(self, version: str) -> str:
        """Return its name in the registry for an SGLang version."""
        return f"{self.repository}:{self.tag.format(sglang=version)}"


class NativeEnvironment(Value):
    """The engine without a container: a Python environment on the host."""

    requirements: str
    torch: str
    torch_index: str
    disk_gib: float = Field(gt=0)
    max_total_tokens: int = Field(gt=0)
    arguments: tuple[str, ...]
    environment: dict[str, str]


class Images(Value):
    """images.yml."""

    sglang: dict[Accelerator, str]
    transformers_minimum: str
    supervisor: str
    hosts: HostRules
    images: dict[str, Image]
    native: dict[Accelerator, NativeEnvironment]


class WorkloadPoint(Value):
    """One load of a workload, and the token totals that its seed gives."""

    concurrency: int = Field(gt=0)
    num_prompts: int = Field(gt=0)
    total_input_tokens: int = Field(gt=0)
    total_output_tokens: int = Field(gt=0)


class Workload(Value):
    """A benchmark: lengths are drawn uniformly from max(1, length x range_ratio) to length."""

    name: str
    title: str
    dataset: str
    input_tokens: int = Field(gt=0)
    output_tokens: int = Field(gt=0)
    seed: int
    range_ratio: float = Field(ge=0, le=1)
    smoke_concurrency: int
    smoke_repeats: int = Field(gt=0)
    accelerators: tuple[Accelerator, ...]
    """Those for which it is one of 'all'."""
    points: tuple[WorkloadPoint, ...]
    objective: Objective | None = None
    """What a request must keep to count as good; None where nobody has said."""

    @model_validator(mode="after")
    def _smoke_is_a_point(self) -> Self:
        if self.smoke_concurrency not in [point.concurrency for point in self.points]:
            raise ValueError(f"smoke_concurrency {self.smoke_concurrency} is none of the points")
        return self

    @property
    def smoke_point(self) -> WorkloadPoint:
        """The point that a deploy runs."""
        return next(point for point in self.points if point.concurrency == self.smoke_concurrency)

    def point(self, concurrency: int) -> WorkloadPoint | None:
        return next((point for point in self.points if point.concurrency == concurrency), None)


class Tolerances(Value):
    """What a verdict lets pass."""

    default: float = Field(gt=0)
    """Percent a metric may be worse than its baseline."""
    cpu: float = Field(gt=0)
    spread_factor: float = Field(gt=0)
    """A change must be larger than so many times what the repeats differ among themselves."""
    failure_limit_percent: float = Field(ge=0, le=100)
    """More requests without an answer than this fail, whatever the speed."""
    useless_percent: float = Field(gt=0)
    """A spread, and a tolerance that follows from it, beyond this is said in words: nothing can be judged by it."""

    def percent(self, accelerator: Accelerator) -> float:
        """Percent a metric may be worse than its baseline on this accelerator."""
        return self.cpu if accelerator == "cpu" else self.default


class Limits(Value):
    """From when on something that was seen in a measurement is worth a word."""

    throttle_reasons: tuple[str, ...]
    """What must not hold back a GPU's clock, as nvidia-smi names it."""
    throttled_percent: float = Field(ge=0, le=100)
    """Of the samples in which the GPU was at work: in more of them it is a finding."""
    saturated_percent: float = Field(gt=0)
    """Less than this for twice the requests in flight is no growth of the throughput."""


class Workloads(Value):
    """workloads.yml."""

    tolerances: Tolerances
    starts: StartRules
    limits: Limits
    workloads: dict[str, Workload]


class Baseline(Value):
    """One measured point. The rows of one recording share a name; a host's own recordings carry its name in `host`."""

    name: str
    accelerator: Accelerator
    hardware: str
    """Catalog name of the GPU, or a name outside the catalog for hardware that its source does not state."""
    gpu_count: int = Field(ge=0)
    """GPUs that the model ran on (`len(plan.gpus)`); 0 for cpu."""
    tp: int = Field(ge=1)
    model: str
    sglang_version: str
    """'' where the source does not state it."""
    profiles: tuple[str, ...] = ()
    """The catalog's profiles that the engine ran with."""
    workload: str
    concurrency: int = Field(gt=0)
    num_prompts: int = Field(gt=0)
    total_input_tokens: int = Field(gt=0)
    total_output_tokens: int = Field(gt=0)
    metrics: dict[str, FiniteFloat]
    """Keys of SGLang's JSONL; units are in the keys, throughputs are tokens or requests a second."""
    contaminated: bool = False
    """True: shown, but only `judged_metrics` count."""
    judged_metrics: tuple[str, ...] = ()
    """The metrics that may judge; () for every one that verdicts look at."""
    provenance: str
    recorded: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}")
    """Date, ISO 8601."""
    host: str = ""
    spread_percent: dict[str, float] = Field(default_factory=dict)
    """For each metric: (largest - smallest) / median of the repeats in percent, where there were repeats."""

    @model_validator(mode="after")
    def _judged_metrics_exist(self) -> Self:
        if unknown := sorted(set(self.judged_metrics) - set(self.metrics)):
            raise ValueError(f"judged_metrics not among metrics: {', '.join(unknown)}")
        if self.contaminated and not self.judged_metrics:
            raise ValueError("a contaminated row must name the metrics that still count")
        return self

    def judges(self, metric: str) -> bool:
        """Whether this row may judge `metric`."""
        return metric in self.metrics and (not self.judged_metrics or metric in self.judged_metrics)


class BaselineFile(Value):
    """A file of baselines: the catalog's, or one that `--save-baseline` wrote."""

    schema_version: Literal[1] = 1
    baselines: tuple[Baseline, ...] = ()
    accuracy: tuple[AccuracyBaseline, ...] = ()
