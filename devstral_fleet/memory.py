"""The memory of one GPU: SGLang's own heuristic, repeated, so that a plan knows the KV pool before the engine does."""

import math

from devstral_fleet.catalog.engines import EngineVersion, MemoryRules, MemoryStep
from devstral_fleet.catalog.schema import Gpu, Model
from devstral_fleet.plan import MemoryArithmetic

GIB = 1024**3


def fraction_argument(model: Model, gpu: Gpu, tp: int, rules: MemoryRules) -> float:
    """Return the --mem-fraction-static that SGLang would choose itself, rounded down to three digits."""
    fraction = round((gpu.memory_mib - _reserved_mib(gpu, tp, rules)) / gpu.memory_mib, 3)
    factor = rules.vision_factor if model.vision else 1.0
    return math.floor(fraction * factor * 1000) / 1000


def arithmetic(
    model: Model,
    gpu: Gpu,
    engine: EngineVersion,
    rules: MemoryRules,
    *,
    tp: int,
    context_length: int,
    fraction: float,
    kv_bytes_per_number: int = 2,
) -> MemoryArithmetic:
    """Divide one GPU's memory between weights and KV pool.

    Args:
        context_length: tokens; AMD's AITER backend takes a larger share of memory above a threshold.
        fraction: the --mem-fraction-static argument.
        kv_bytes_per_number: 2 for bf16, 1 for FP8.
    """
    overhead = rules.overhead[gpu.accelerator]
    context_gib = overhead.context_gib + (overhead.collective_gib if tp > 1 else 0.0)
    effective = _effective(fraction, gpu, context_length, rules)
    weights_gib = model.weights_gib / tp
    multimodal_gib = engine.multimodal_reserve_mib / 1024 if model.vision else 0.0
    free_gib = (gpu.memory_gib - context_gib) * effective - weights_gib - multimodal_gib
    pool_gib = max(0.0, free_gib * (1 - overhead.safety_percent / 100))
    kv_bytes = model.kv_bytes_per_token(tp, kv_bytes_per_number)
    return MemoryArithmetic(
        gpu_memory_mib=gpu.memory_mib,
        mem_fraction_static=round(effective, 4),
        weights_gib=round(weights_gib, 3),
        context_gib=context_gib,
        multimodal_gib=round(multimodal_gib, 3),
        safety_percent=overhead.safety_percent,
        kv_bytes_per_token=kv_bytes,
        kv_pool_gib=round(pool_gib, 3),
        kv_pool_tokens=int(pool_gib * GIB / kv_bytes),
    )


def _effective(fraction: float, gpu: Gpu, context_length: int, rules: MemoryRules) -> float:
    """AITER keeps room for its workspace, even where the fraction was set by hand."""
    if gpu.attention_backend == "aiter" and context_length > rules.aiter_above_context:
        return fraction * rules.aiter_factor
    return fraction


def _reserved_mib(gpu: Gpu, tp: int, rules: MemoryRules) -> float:
    """MiB for activations and graphs, as SGLang estimates them."""
    step = _step(gpu, rules)
    slots = step.decode_slots_tp4 if tp >= 4 else step.decode_slots
    reserved = (
        rules.base_mib
        + rules.mib_per_prefill_token * step.prefill_tokens
        + rules.mib_per_gpu * tp
        + rules.mib_per_decode_slot * slots
        + rules.mib_per_prefill_graph * step.prefill_graphs
    )
    return max(reserved, rules.floor_mib) if gpu.memory_mib > rules.floor_above_mib else reserved


def _step(gpu: Gpu, rules: MemoryRules) -> MemoryStep:
    return next(step for step in rules.steps if step.below_mib is None or gpu.memory_mib < step.below_mib)
