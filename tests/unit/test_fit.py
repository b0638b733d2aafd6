"""Tensor parallelism and context: the smallest that serves, and refusals with their arithmetic."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstral_fleet import catalog as catalogs
from devstral_fleet.errors import PlanError
from devstral_fleet.fit import Demand, Fit, fit, fit_cpu

CATALOG = catalogs.load()


def demand(gpu: str, model: str, gpu_count: int = 8, **keys: Any) -> Demand:
    return Demand(
        model=CATALOG.model(model),
        gpu=CATALOG.gpu(gpu),
        gpu_count=gpu_count,
        engine=CATALOG.engine("0.5.20"),
        rules=CATALOG.engines.memory,
        **keys,
    )


def fitted(gpu: str, model: str, gpu_count: int = 8, **keys: Any) -> Fit:
    return fit(demand(gpu, model, gpu_count, **keys), tuple(CATALOG.models.values()))


def refused(gpu: str, model: str, gpu_count: int = 8, **keys: Any) -> str:
    with pytest.raises(PlanError) as caught:
        fitted(gpu, model, gpu_count, **keys)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(("gpu", "model", "tp"), [
    *((gpu, model, tp) for model in ("devstral-small-2", "devstral-2")
      for gpu, tp in CATALOG.model(model).tensor_parallel.items()),
    ("rtx-4090", "devstral-small-2", 2),
    ("rtx-5090", "devstral-small-2", 2),
    ("l40s", "devstral-small-2", 1),
    ("a100-40", "devstral-small-2", 1),
    ("a100-80", "devstral-small-2", 1),
    ("rtx-pro-6000", "devstral-small-2", 1),
    ("rtx-5090", "devstral-2", 8),
    ("l40s", "devstral-2", 4),
    ("a100-80", "devstral-2", 4),
    ("rtx-pro-6000", "devstral-2", 2),
])  # fmt: skip
def test_the_smallest_tensor_parallelism_that_serves(gpu: str, model: str, tp: int) -> None:
    found = fitted(gpu, model)
    assert found.tp == tp
    assert found.context_length <= found.kv_pool_tokens


def test_a_context_that_does_not_fit_is_lowered_in_whole_steps() -> None:
    found = fitted("h100", "devstral-small-2", 1)
    assert (found.tp, found.context_length) == (1, 237_568)
    assert found.context_length % CATALOG.engines.memory.context_step == 0
    assert found.context_length <= found.kv_pool_tokens < found.context_length + 4096


def test_a_full_context_is_the_models_own() -> None:
    assert fitted("h100", "devstral-2").context_length == 262_144


@pytest.mark.parametrize(("length", "tp"), [(16_384, 2), (65_536, 4), (262_144, 4)])
def test_a_lowered_context_needs_fewer_gpus_than_the_cookbook(length: int, tp: int) -> None:
    assert fitted("h100", "devstral-2", context_length=length).tp == tp


def test_a_context_that_was_asked_for_is_never_changed() -> None:
    found = fitted("h100", "devstral-small-2", 8, context_length=262_144)
    assert (found.tp, found.context_length) == (2, 262_144)


def test_the_operators_tensor_parallelism_stands() -> None:
    assert fitted("h100", "devstral-small-2", tp=4).tp == 4
    assert fitted("mi355x", "devstral-2", 1, tp=1).tp == 1


def test_a_fraction_and_a_token_limit_are_used() -> None:
    assert fitted("h100", "devstral-2", 4, mem_fraction_static=0.9).mem_fraction_static == 0.9
    limited = fitted("h200", "devstral-small-2", max_total_tokens=50_000)
    assert (limited.kv_pool_tokens, limited.context_length) == (50_000, 49_152)


@pytest.mark.parametrize(("gpu", "model", "count", "keys", "said"), [
    ("h100", "devstral-2", 2, {}, ("59.7 of weights", "32768 tokens are needed", "4 GPUs (tp 4)",
                                   "fleet_context_length: 28672 (tp 2)", "fleet_model: devstral-small-2 (tp 1")),
    ("h100", "devstral-2", 1, {}, ("nothing left for the KV cache", "4 GPUs (tp 4)")),
    ("rtx-4090", "devstral-2", 8, {}, ("nothing left", "fleet_model: devstral-small-2 (tp 2")),
    ("rtx-4090", "devstral-small-2", 1, {}, ("24.0 of weights", "2 GPUs (tp 2)")),
    ("h100", "devstral-small-2", 1, {"context_length": 262_144}, ("2 GPUs (tp 2)", "fleet_context_length: 237568")),
    ("h100", "devstral-2", 8, {"tp": 2}, ("with tp 2", "fleet_tensor_parallel: 4")),
    ("mi355x", "devstral-2", 1, {}, ("takes 2 GPUs (the cookbook's table) and the host has 1", "2 GPUs (tp 2)",
                                     "fleet_tensor_parallel: 1")),
])  # fmt: skip
def test_a_refusal_says_the_arithmetic_and_what_fits(
    gpu: str, model: str, count: int, keys: dict[str, Any], said: tuple[str, ...]
) -> None:
    problem = refused(gpu, model, count, **keys)
    assert all(text in problem for text in said), problem


@pytest.mark.parametrize(("keys", "said"), [
    ({"tp": 3}, "tp 3 does not divide devstral-2's 96 attention heads and 8 KV heads; use one of 1, 2, 4, 8"),
    ({"tp": 6}, "use one of 1, 2, 4, 8"),
    ({"tp": 16}, "tp 16 needs 16 GPUs and the host has 8"),
    ({"context_length": 262_145}, "beyond devstral-2's maximum; use at most 262144"),
    ({"gpu_count": 0}, "set fleet_gpu_count"),
    ({"max_total_tokens": 1000}, "a KV pool of 1000 tokens holds no request of 32768; set fleet_max_total_tokens"),
])  # fmt: skip
def test_what_no_memory_would_cure(keys: dict[str, Any], said: str) -> None:
    assert said in refused("h100", "devstral-2", **keys)


def test_every_such_problem_at_once() -> None:
    with pytest.raises(PlanError) as caught:
        fitted("h100", "devstral-2", tp=3, context_length=999_999)
    assert len(caught.value.problems) == 2


def test_what_a_refusal_offers_does_fit() -> None:
    assert fitted("h100", "devstral-2", 4).tp == 4
    assert fitted("h100", "devstral-2", 2, context_length=28_672).tp == 2


def test_the_cpu_takes_the_pool_that_was_asked_for() -> None:
    tiny = demand("cpu", "devstral-tiny", 0)
    assert fit_cpu(tiny, 65_536) == Fit(1, 32_768, None, 65_536, None)
    assert fit_cpu(demand("cpu", "devstral-tiny", 0, max_total_tokens=8192), 65_536).context_length == 8192


@pytest.mark.parametrize(("keys", "said"), [
    ({"context_length": 40_000}, "beyond devstral-tiny's maximum; use at most 32768"),
    ({"context_length": 20_000, "max_total_tokens": 10_000}, "a KV pool of 10000 tokens holds no request of 20000"),
    ({"tp": 3}, "tp 3 does not divide devstral-tiny's 4 attention heads"),
])  # fmt: skip
def test_the_cpu_refuses_too(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError) as caught:
        fit_cpu(demand("cpu", "devstral-tiny", 1, **keys), 65_536)
    assert any(said in problem for problem in caught.value.problems)


@given(
    st.sampled_from([gpu.name for gpu in CATALOG.gpus.values() if gpu.memory_mib]),
    st.sampled_from(["devstral-small-2", "devstral-2"]),
    st.integers(1, 8),
    st.one_of(st.none(), st.integers(1, 262_144)),
)
def test_whatever_fits_divides_the_heads_and_holds_its_context(
    gpu: str, model: str, count: int, length: int | None
) -> None:
    wanted = demand(gpu, model, count, context_length=length)
    try:
        found = fit(wanted)
    except PlanError:
        return
    assert wanted.model.divides(found.tp)
    assert found.tp <= count
    assert found.context_length <= found.kv_pool_tokens
    assert length in (None, found.context_length)
    smaller = [tp for tp in range(1, found.tp) if wanted.model.divides(tp) and tp >= wanted.tp_floor]
    for tp in smaller:
        with pytest.raises(PlanError):
            fit(demand(gpu, model, count, context_length=wanted.needed_tokens, tp=tp))
