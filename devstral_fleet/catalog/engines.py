"""What engines.yml may say: SGLang version by version, and how it divides a GPU's memory."""

from pydantic import Field

from devstral_fleet.intent import Accelerator, KvCacheDtype
from devstral_fleet.model import Value


class EngineVersion(Value):
    """One SGLang version."""

    version: str
    transformers: str
    python_minimum: str
    multimodal_reserve_mib: int = Field(ge=0)
    vision_arguments: tuple[str, ...] = ()
    """What a model that sees pictures is started with."""


class FlagSpan(Value):
    """First and last version that accepts a flag; None is open."""

    since: str | None
    until: str | None


class Profile(Value):
    """Settings of the engine that a host asks for by name."""

    name: str
    arguments: tuple[str, ...] = ()
    kv_cache_dtype: KvCacheDtype = "auto"
    models: tuple[str, ...]
    accelerators: tuple[Accelerator, ...]
    effect: str
    won: str
    """What was measured, and where."""
    check: str
    """What has to be compared before it serves real work."""


class DefaultProfiles(Value):
    """Profiles of a host that asks for none by name, where exactly this was measured and its answers compared."""

    model: str
    hardware: str
    tensor_parallel: int
    sglang: str
    profiles: tuple[str, ...]

    @property
    def measured_on(self) -> tuple[str, str, int, str]:
        """What a host and its plan must be: model, hardware, GPUs of an engine, version of SGLang."""
        return self.model, self.hardware, self.tensor_parallel, self.sglang


class MemoryStep(Value):
    """SGLang's defaults for GPUs with less memory than `below_mib`."""

    below_mib: int | None
    prefill_tokens: int
    decode_slots: int
    decode_slots_tp4: int
    prefill_graphs: int


class Overhead(Value):
    """Memory that the engine never sees: the context, the collectives' buffers (tp > 1), and a margin on the pool."""

    context_gib: float = Field(ge=0)
    collective_gib: float = Field(ge=0)
    safety_percent: float = Field(ge=0, lt=100)


class MemoryRules(Value):
    """How SGLang divides a GPU's memory; see engines.yml."""

    base_mib: float
    mib_per_prefill_token: float
    mib_per_decode_slot: float
    mib_per_prefill_graph: float
    mib_per_gpu: float
    floor_mib: float
    floor_above_mib: int
    vision_factor: float
    aiter_factor: float
    aiter_above_context: int
    steps: tuple[MemoryStep, ...]
    overhead: dict[Accelerator, Overhead]
    context_step: int = Field(gt=0)


class Engines(Value):
    """engines.yml: the known SGLang versions, oldest first."""

    versions: tuple[EngineVersion, ...]
    flags: dict[str, FlagSpan]
    memory: MemoryRules
    profiles: dict[str, Profile]
    defaults: tuple[DefaultProfiles, ...]

    def version(self, name: str) -> EngineVersion | None:
        return next((version for version in self.versions if version.version == name), None)

    def default_profiles(self, model: str, hardware: str, tensor_parallel: int, version: str) -> tuple[str, ...]:
        """Return the names of a host's profiles where its inventory says nothing about any."""
        here = (model, hardware, tensor_parallel, version)
        found = (each for each in self.defaults if here == each.measured_on)
        return next((each.profiles for each in found), ())

    def accepts(self, version: str, flag: str) -> bool:
        """Whether `version` knows `flag`; a flag that the catalog does not list is not known."""
        order = [entry.version for entry in self.versions]
        span = self.flags.get(flag)
        if span is None or version not in order:
            return False
        first = order.index(span.since) if span.since else 0
        last = order.index(span.until) if span.until else len(order) - 1
        return first <= order.index(version) <= last
