"""The plan: everything that is decided about one host, as one frozen value."""

import hashlib
import json
from typing import Literal

from pydantic import Field

from devstral_fleet.intent import Accelerator, Runtime
from devstral_fleet.model import Value

PLAN_SCHEMA_VERSION = 1
NODES_FLAG = "--nnodes"


class MemoryArithmetic(Value):
    """How the KV pool was computed, per GPU. Source: SGLang's memory heuristic (docs/architecture.md).

    kv_pool_gib = ((memory - context) x mem_fraction_static - weights - multimodal) x (1 - safety / 100)
    """

    gpu_memory_mib: int
    mem_fraction_static: float
    """What the engine works with; with AITER less than the argument in the plan."""
    weights_gib: float
    """Weights on one GPU: the model's total divided by tp."""
    context_gib: float
    """What the CUDA or HIP context and, with tp > 1, the collectives take before the engine measures."""
    multimodal_gib: float = 0.0
    """What the engine keeps back for images."""
    safety_percent: float = 0.0
    """Margin on the pool, so that the engine never gives less than planned."""
    kv_bytes_per_token: int
    """Bytes of one token's keys and values on one GPU."""
    kv_pool_gib: float
    kv_pool_tokens: int


class ImageChoice(Value):
    """The container image of the plan; `reference` is what `docker run` gets."""

    name: str
    base: str
    """What it is built from: its publisher's base, or what `invoke build` makes it from."""
    reference: str
    digest: str | None
    pulled: bool = True
    """Whether hosts pull it by this name; else it comes from the controller, through SSH."""
    built: bool = False
    """Whether it is one of ours, which `invoke build` makes."""


class ModelFiles(Value):
    """The model's files on the host: from a hub, or made there by `recipe`, all of them or all but the weights."""

    source: Literal["hub", "generated", "weightless"]
    repository: str
    revision: str | None
    directory: str
    """Directory name under fleet_home/models; carries a digest of the recipe or the revision."""
    recipe: dict[str, int | str] = Field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    digest: str = ""
    """SHA-256 over paths, sizes and hashes of all files of a pinned repository (`WeightPin.digest`); '' for others."""


class EngineEnvironment(Value):
    """The native runtime's Python environment."""

    requirements: str
    """File under requirements/ (or the site's own path) that pins every package."""
    digest: str
    """First 16 hex digits of SHA-256 over requirements, torch requirement, shims and the interpreter's name."""
    torch: str
    """Requirement of torch, such as 'torch==<version>+cpu'; '' when the requirements file pins it."""
    torch_index: str
    """Index asked for torch where pip's own configuration offers none; '' beside a torch that the host has."""

    @property
    def is_torch_of_host(self) -> bool:
        """Whether the environment sees the packages of the interpreter that makes it, its torch among them."""
        return bool(self.torch) and not self.torch_index


class DeploymentPlan(Value):
    """One host's plan. It can be printed, compared, replayed, and stands in the report; it holds no secret."""

    schema_version: Literal[1] = 1
    host: str
    accelerator: Accelerator
    hardware: str
    gpus: tuple[int, ...]
    """Indices of the GPUs it uses; () for cpu."""
    model: str
    repository: str
    served_model_name: str
    runtime: Runtime
    sglang_version: str
    transformers_minimum: str
    driver_minimum: str
    """'' for cpu."""
    image: ImageChoice | None
    engine_environment: EngineEnvironment | None
    files: ModelFiles
    vision: bool = False
    """Whether the model sees pictures."""
    tp: int
    context_length: int
    mem_fraction_static: float | None
    kv_cache_dtype: str
    profiles: tuple[str, ...] = ()
    """Profiles of the catalog that the host asked for."""
    kv_pool_tokens: int
    memory: MemoryArithmetic | None
    """None for cpu, where the pool is what was asked for."""
    listen: str
    port: int
    arguments: tuple[str, ...]
    """Words after `python -m sglang.launch_server`, without --config (the secrets file)."""
    environment: dict[str, str]
    home: str
    drain_deadline_s: int
    """Seconds that a stopping engine may take to finish its requests; what is left then is cut off."""
    health_deadline_s: int
    disk_needed_gib: float
    """Free space a first deploy needs under home."""
    memory_needed_gib: float
    """Main memory the engine needs."""
    smoke_workload: str
    """Catalog name of the deploy's own benchmark."""
    notes: tuple[str, ...] = ()
    """What the reader should know: unpinned image, native FP8 missing, licence."""

    @property
    def digest(self) -> str:
        """Twelve hex digits that name this plan's content; equal plans need no new release.

        Notes are left out, what the model alone says, and profiles' names, whose arguments are in.
        """
        content = self.model_dump(mode="json", exclude={"notes", "profiles", "vision"})
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def nodes(self) -> int:
        """Hosts that serve together, this one among them."""
        words = self.arguments
        return int(words[words.index(NODES_FLAG) + 1]) if NODES_FLAG in words else 1

    @property
    def base_url(self) -> str:
        return f"http://{self.listen}:{self.port}"
