"""The memory of a GPU: SGLang's own fractions, the one measured pool, and what holds for any GPU."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstral_fleet import catalog as catalogs
from devstral_fleet.catalog.schema import Gpu, Model
from devstral_fleet.memory import GIB, arithmetic, fraction_argument
from devstral_fleet.plan import MemoryArithmetic

CATALOG = catalogs.load()
RULES = CATALOG.engines.memory
ENGINE = CATALOG.engine("0.5.20")
SMALL, LARGE = CATALOG.model("devstral-small-2"), CATALOG.model("devstral-2")
MEASURED_POOL = 271_434
"""Tokens: /server_info of the recorded H100 says max_req_input_len 271428, which is the pool less 1 less 5."""

# Computed from SGLang's source by another hand, per GPU for tp 1, 2, 4, 8: (24B, 123B). AMD with the AITER factor.
FRACTIONS = {
    "rtx-4090": ((None, 0.663, 0.645, 0.625), (None, None, None, 0.658)),
    "rtx-5090": ((0.738, 0.734, 0.720, 0.705), (None, None, None, 0.742)),
    "l40s": ((0.801, 0.798, 0.788, 0.777), (None, None, 0.829, 0.818)),
    "h100": ((0.788, 0.787, 0.778, 0.771), (None, 0.828, 0.819, 0.812)),
    "rtx-pro-6000": ((0.815, 0.814, 0.807, 0.802), (None, 0.857, 0.849, 0.844)),
    "h200": ((0.858, 0.857, 0.852, 0.848), (0.903, 0.902, 0.897, 0.893)),
    "b200": ((0.811, 0.810, 0.809, 0.807), (0.854, 0.853, 0.852, 0.849)),
    "mi300x": ((0.700, 0.699, 0.698, 0.696), (0.737, 0.736, 0.735, 0.733)),
    "mi325x": ((0.727, 0.726, 0.725, 0.724), (0.765, 0.764, 0.763, 0.762)),
    "mi355x": ((0.736, 0.736, 0.735, 0.733), (0.774, 0.774, 0.773, 0.772)),
}
CASES = [
    (model, gpu, tp, fraction)
    for gpu, columns in FRACTIONS.items()
    for model, fractions in zip((SMALL, LARGE), columns)
    for tp, fraction in zip((1, 2, 4, 8), fractions)
    if fraction is not None
]


def divided(model: Model, gpu: Gpu, tp: int, context_length: int = 262_144, kv_bytes: int = 2) -> MemoryArithmetic:
    return arithmetic(
        model,
        gpu,
        ENGINE,
        RULES,
        tp=tp,
        context_length=context_length,
        fraction=fraction_argument(model, gpu, tp, RULES),
        kv_bytes_per_number=kv_bytes,
    )


@pytest.mark.parametrize(
    ("model", "gpu", "tp", "fraction"), CASES, ids=lambda value: value.name if isinstance(value, Model) else str(value)
)
def test_fractions_are_sglangs_own(model: Model, gpu: str, tp: int, fraction: float) -> None:
    memory = divided(model, CATALOG.gpu(gpu), tp)
    assert fraction - 0.0041 <= memory.mem_fraction_static <= fraction + 0.0005


def test_the_measured_pool_is_no_smaller_than_predicted_and_not_much_larger() -> None:
    text_only = SMALL.model_copy(update={"vision": False, "weights_gib": 23.2})
    gpu = CATALOG.gpu("h100")
    assert fraction_argument(text_only, gpu, 1, RULES) == 0.83
    assert MEASURED_POOL * 0.97 < divided(text_only, gpu, 1).kv_pool_tokens <= MEASURED_POOL


def test_aiter_takes_its_share_above_8192_tokens_only() -> None:
    gpu = CATALOG.gpu("mi300x")
    long, short = divided(SMALL, gpu, 1, 8193), divided(SMALL, gpu, 1, 8192)
    assert long.mem_fraction_static == pytest.approx(short.mem_fraction_static * 0.85, abs=1e-4)
    assert divided(SMALL, CATALOG.gpu("h100"), 1, 8193) == divided(SMALL, CATALOG.gpu("h100"), 1, 8192)


def test_what_a_plan_shows_adds_up() -> None:
    memory = divided(LARGE, CATALOG.gpu("h100"), 4)
    free = (memory.gpu_memory_mib / 1024 - memory.context_gib) * memory.mem_fraction_static - memory.weights_gib
    assert free * (1 - memory.safety_percent / 100) == pytest.approx(memory.kv_pool_gib, abs=0.02)


GPUS = st.builds(
    lambda memory, name: CATALOG.gpu(name).model_copy(update={"memory_mib": memory}),
    st.integers(16 * 1024, 400 * 1024),
    st.sampled_from(["h100", "rtx-4090", "mi300x", "b200"]),
)
MODELS = st.sampled_from([SMALL, LARGE])
TP = st.sampled_from([1, 2, 4, 8])


@given(GPUS, MODELS, TP, st.integers(1, 400_000))
def test_the_pool_and_the_weights_are_never_more_than_the_memory(gpu: Gpu, model: Model, tp: int, length: int) -> None:
    memory = divided(model, gpu, tp, length)
    pool_gib = memory.kv_pool_tokens * memory.kv_bytes_per_token / GIB
    assert memory.kv_pool_tokens >= 0
    assert pool_gib == 0 or pool_gib + memory.weights_gib + memory.context_gib < gpu.memory_gib


@given(GPUS, MODELS, TP, st.integers(1, 400_000), st.integers(0, 400_000))
def test_a_longer_context_never_gets_a_larger_pool(gpu: Gpu, model: Model, tp: int, length: int, more: int) -> None:
    assert divided(model, gpu, tp, length + more).kv_pool_tokens <= divided(model, gpu, tp, length).kv_pool_tokens


@given(GPUS, MODELS, st.sampled_from([1, 2, 4]))
def test_twice_the_gpus_never_get_a_smaller_pool(gpu: Gpu, model: Model, tp: int) -> None:
    assert divided(model, gpu, 2 * tp).kv_pool_tokens >= divided(model, gpu, tp).kv_pool_tokens


@given(GPUS, MODELS, TP)
def test_fp8_keys_and_values_double_the_pool(gpu: Gpu, model: Model, tp: int) -> None:
    full, half = divided(model, gpu, tp).kv_pool_tokens, divided(model, gpu, tp, kv_bytes=1).kv_pool_tokens
    assert half - 2 * full in (0, 1)
