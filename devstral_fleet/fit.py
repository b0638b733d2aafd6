"""Which tensor parallelism and context length a model gets on a number of GPUs, or why none serves it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from devstral_fleet.catalog.engines import EngineVersion, MemoryRules
from devstral_fleet.catalog.schema import Gpu, Model
from devstral_fleet.errors import PlanError
from devstral_fleet.memory import arithmetic, fraction_argument
from devstral_fleet.plan import MemoryArithmetic

KV_BYTES = {"auto": 2, "bf16": 2, "fp8_e4m3": 1, "fp8_e5m2": 1}
LARGEST_TP = 8
"""The most GPUs that one host is expected to have; more are used only where a host has them."""


@dataclass(frozen=True)
class Demand:
    """What is asked of some GPUs; None where the plan may choose."""

    model: Model
    gpu: Gpu
    gpu_count: int
    """Of all hosts together."""
    engine: EngineVersion
    rules: MemoryRules
    tp: int | None = None
    context_length: int | None = None
    mem_fraction_static: float | None = None
    max_total_tokens: int | None = None
    kv_cache_dtype: str = "auto"
    nodes: int = 1
    """Hosts that the ranks are spread over, as many on each."""

    @property
    def needed_tokens(self) -> int:
        """Tokens the pool must hold: the context that was asked for, else the shortest useful one."""
        return self.context_length or self.model.minimum_context_length

    @property
    def tp_floor(self) -> int:
        """The cookbook's tensor parallelism, unless a shorter context was asked for."""
        lowered = self.context_length is not None and self.context_length < self.model.default_context_length
        return 1 if lowered else self.model.tensor_parallel.get(self.gpu.name, 1)


@dataclass(frozen=True)
class Fit:
    """What was chosen."""

    tp: int
    context_length: int
    mem_fraction_static: float | None
    """The argument; None for cpu."""
    kv_pool_tokens: int
    memory: MemoryArithmetic | None
    """None for cpu."""


def fit(demand: Demand, others: Sequence[Model] = ()) -> Fit:
    """Choose the smallest tensor parallelism whose KV pool holds the context.

    Args:
        others: models to name when this one does not fit.

    Raises:
        PlanError: nothing fits; each problem holds its arithmetic and the nearest choice that does.
    """
    problems = _impossible(demand)
    if problems:
        raise PlanError(problems)
    choices = [demand.tp] if demand.tp else _spread(demand)
    for tp in choices:
        found = _at(demand, tp)
        if (demand.tp or tp >= demand.tp_floor) and found.kv_pool_tokens >= demand.needed_tokens:
            return found
    raise PlanError([_refusal(demand, choices[-1], others)])


def fit_cpu(demand: Demand, max_total_tokens: int) -> Fit:
    """Take the KV pool that was asked for; main memory holds it.

    Args:
        max_total_tokens: the catalog's pool, where the host asks for none.

    Raises:
        PlanError: the context is beyond the model's maximum or the pool, or the ranks do not divide the heads.
    """
    pool = demand.max_total_tokens or max_total_tokens
    context = demand.context_length or min(demand.model.default_context_length, pool)
    found = _impossible(replace(demand, gpu_count=demand.tp or 1))
    if context > pool and not demand.max_total_tokens:
        found.append(_short_pool(pool, context))
    if found:
        raise PlanError(found)
    return Fit(demand.tp or 1, context, None, pool, None)


def next_tp(demand: Demand, tp: int) -> int:
    """Return the next larger tensor parallelism that divides the model's heads, 0 for none."""
    return next((more for more in _divisors(demand.model, LARGEST_TP) if more > tp), 0)


def pool_at(demand: Demand, tp: int) -> int:
    """Return the KV pool in tokens that `tp` GPUs would give."""
    return _at(demand, tp).kv_pool_tokens


def _at(demand: Demand, tp: int) -> Fit:
    memory = _memory(demand, tp)
    pool = min(memory.kv_pool_tokens, demand.max_total_tokens or memory.kv_pool_tokens)
    context = demand.context_length or _lowered(demand.model.default_context_length, pool, demand.rules)
    return Fit(tp, context, _fraction(demand, tp), pool, memory)


def _fraction(demand: Demand, tp: int) -> float:
    return demand.mem_fraction_static or fraction_argument(demand.model, demand.gpu, tp, demand.rules)


def _memory(demand: Demand, tp: int) -> MemoryArithmetic:
    return arithmetic(
        demand.model,
        demand.gpu,
        demand.engine,
        demand.rules,
        tp=tp,
        context_length=demand.context_length or demand.model.default_context_length,
        fraction=_fraction(demand, tp),
        kv_bytes_per_number=KV_BYTES[demand.kv_cache_dtype],
    )


def _lowered(wanted: int, pool: int, rules: MemoryRules) -> int:
    """Return the context length that the pool can hold, in whole steps where it must be lowered."""
    return wanted if pool >= wanted else pool // rules.context_step * rules.context_step


def _divisors(model: Model, gpu_count: int) -> list[int]:
    return [tp for tp in range(1, gpu_count + 1) if model.divides(tp)]


def _spread(demand: Demand) -> list[int]:
    """Return what divides the model's heads and the hosts."""
    return [tp for tp in _divisors(demand.model, demand.gpu_count) if tp % demand.nodes == 0]


def _impossible(demand: Demand) -> list[str]:
    """Problems that no memory would cure."""
    model, found = demand.model, []
    if demand.gpu_count < 1:
        found.append(f"{demand.gpu.name} with no GPU serves nothing; set fleet_gpu_count")
    if demand.context_length and demand.context_length > model.maximum_context_length:
        found.append(
            f"context length {demand.context_length} is beyond {model.name}'s maximum;"
            f" use at most {model.maximum_context_length}"
        )
    if demand.tp and not model.divides(demand.tp):
        allowed = ", ".join(map(str, _divisors(model, LARGEST_TP)))
        found.append(
            f"tp {demand.tp} does not divide {model.name}'s {model.attention_heads} attention heads and"
            f" {model.kv_heads} KV heads; use one of {allowed}"
        )
    elif demand.tp and demand.tp % demand.nodes:
        found.append(f"tp {demand.tp} does not divide over {demand.nodes} hosts; use a multiple of {demand.nodes}")
    elif not demand.tp and demand.gpu_count >= 1 and not _spread(demand):
        found.append(
            f"no tp divides {model.name}'s heads and {demand.nodes} hosts with {demand.gpu_count} GPUs together;"
            " take another number of hosts"
        )
    elif demand.tp and demand.tp > demand.gpu_count >= 1:
        found.append(f"tp {demand.tp} needs {demand.tp} GPUs and {_have(demand)}; use a smaller tp")
    if demand.max_total_tokens and demand.max_total_tokens < demand.needed_tokens:
        found.append(_short_pool(demand.max_total_tokens, demand.needed_tokens))
    return found


def _have(demand: Demand) -> str:
    hosts = "the host has" if demand.nodes == 1 else f"its {demand.nodes} hosts together have"
    return f"{hosts} {demand.gpu_count}"


def _short_pool(pool: int, needed: int) -> str:
    return f"a KV pool of {pool} tokens holds no request of {needed}; set fleet_max_total_tokens to {needed} or more"


def _refusal(demand: Demand, tp: int, others: Sequence[Model]) -> str:
    """Say why `tp` GPUs do not serve the model, in numbers, and what would."""
    found, model, gpu = _at(demand, tp), demand.model, demand.gpu
    sentence = f"{model.name} does not fit on {demand.gpu_count} x {gpu.name}: {_sum(demand, tp)}"
    if tp < demand.tp_floor and found.kv_pool_tokens >= demand.needed_tokens:
        sentence = f"{model.name} on {gpu.name} takes {demand.tp_floor} GPUs (the cookbook's table) and {_have(demand)}"
    return f"{sentence}. {_nearest(demand, tp, others)}"


def _sum(demand: Demand, tp: int) -> str:
    memory = _memory(demand, tp)
    images = f" - {memory.multimodal_gib:.1f} for images" if memory.multimodal_gib else ""
    total = memory.gpu_memory_mib / 1024
    left = f"{memory.kv_pool_gib:.1f} GiB, {memory.kv_pool_tokens} tokens of {memory.kv_bytes_per_token} bytes"
    return (
        f"with tp {tp} each GPU has ({total:.1f} - {memory.context_gib:.1f}) GiB x"
        f" {memory.mem_fraction_static:.3f} - {memory.weights_gib:.1f} of weights{images}"
        f" = {left if memory.kv_pool_gib else 'nothing left'} for the KV cache"
        f" (a margin of {memory.safety_percent:.0f} % taken off);"
        f" {demand.needed_tokens} tokens are needed"
    )


def _nearest(demand: Demand, tp: int, others: Sequence[Model]) -> str:
    """Name the nearest choices that fit: more GPUs, a shorter context, another model."""
    choices = [
        *_more_gpus(demand, tp),
        *_below_cookbook(demand, tp),
        *_shorter_context(demand, tp),
        *_other_model(demand, others),
    ]
    return f"What fits: {'; '.join(choices)}" if choices else "Nothing of the catalog fits: take GPUs with more memory"


def _more_gpus(demand: Demand, tp: int) -> list[str]:
    for more in _divisors(demand.model, LARGEST_TP):
        enough = pool_at(demand, more) >= demand.needed_tokens and more >= demand.tp_floor
        if more > tp and enough:
            owned = more <= demand.gpu_count
            return [f"fleet_tensor_parallel: {more}" if owned else f"{more} GPUs (tp {more})"]
    return []


def _below_cookbook(demand: Demand, tp: int) -> list[str]:
    fits = pool_at(demand, tp) >= demand.needed_tokens
    return [f"fleet_tensor_parallel: {tp} (by the memory formula)"] if tp < demand.tp_floor and fits else []


def _shorter_context(demand: Demand, tp: int) -> list[str]:
    step = demand.rules.context_step
    pool = pool_at(replace(demand, context_length=step), tp)
    length = min(pool, demand.model.default_context_length - 1) // step * step
    return [f"fleet_context_length: {length} (tp {tp})"] if length >= step else []


def _other_model(demand: Demand, others: Sequence[Model]) -> list[str]:
    for model in others:
        if model.name == demand.model.name or demand.gpu.accelerator not in model.accelerators:
            continue
        try:
            found = fit(replace(demand, model=model, tp=None, context_length=None))
        except PlanError:
            continue
        return [f"fleet_model: {model.name} (tp {found.tp}, context {found.context_length})"]
    return []
