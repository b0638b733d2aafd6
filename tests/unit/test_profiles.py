"""Profiles: settings of the engine, from the inventory's names to the plan, its notes and its baselines."""

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.bench.verdict import difference
from devstral_fleet.errors import PlanError
from tests.support.intents import cpu_host, gpu_host, planned
from tests.unit.bench_samples import baseline, measurement

ALL = catalogs.load().engines.profiles
DEFAULT = ("prefill-graphs", "mixed-prefill")


@pytest.mark.parametrize("name", ALL)
def test_a_profile_is_in_the_arguments_and_says_what_to_check(name: str) -> None:
    profile = ALL[name]
    for model in profile.models:
        for accelerator in profile.accelerators:
            hardware = {"nvidia": "h200", "amd": "mi300x"}[accelerator]
            keys = {"accelerator": accelerator, "hardware": hardware, "model": model}
            without, plan = planned(gpu_host(**keys)), planned(gpu_host(**keys, profiles=(name,)))
            added = [word for word in plan.arguments if word not in without.arguments]
            assert added == list(profile.arguments or ("--kv-cache-dtype", profile.kv_cache_dtype))
            assert any(f"Profile {name}: " in note and profile.check in note for note in plan.notes)
            assert plan.profiles == (name,)
            assert plan.digest != without.digest


MEASURED = {"hardware": "h200", "model": "devstral-small-2", "tensor_parallel": 1, "sglang_version": "0.5.17"}


def test_where_they_were_measured_they_are_the_default_and_can_be_left_out() -> None:
    plan, named = (
        planned(gpu_host(**MEASURED)),
        planned(gpu_host(**MEASURED, profiles=("mixed-prefill", "prefill-graphs"))),
    )
    assert plan.profiles == DEFAULT
    assert (plan.arguments, plan.digest) == (named.arguments, named.digest)
    assert sum("a default here" in note and "fleet_profiles: [] goes without" in note for note in plan.notes) == 2
    without = planned(gpu_host(**MEASURED, profiles=()))
    assert without.profiles == ()
    assert "--enable-mixed-chunk" not in without.arguments
    one = planned(gpu_host(**MEASURED, profiles=("mixed-prefill",)))
    assert one.profiles == ("mixed-prefill",)
    assert any("Profile mixed-prefill: " in note for note in one.notes)


@pytest.mark.parametrize(
    "other",
    [
        {"hardware": "h100"},
        {"sglang_version": "0.5.20"},
        {"tensor_parallel": 2, "gpu_count": 2},
        {"model": "devstral-2", "tensor_parallel": 2, "gpu_count": 2},
    ],
)
def test_elsewhere_they_are_none(other: dict[str, object]) -> None:
    assert planned(gpu_host(**{**MEASURED, **other})).profiles == ()


def test_what_is_the_default_is_judged_by_baselines_of_its_own() -> None:
    rows = [row for row in catalogs.load().baselines if row.hardware == "h200" and row.tp == 1]
    points = {profiles: {row.concurrency for row in rows if row.profiles == profiles} for profiles in ((), DEFAULT)}
    assert points[DEFAULT] == points[()] == {1, 16, 100}


def test_8_bit_keys_and_values_double_the_pool_as_the_key_itself_does() -> None:
    plain, profile = planned(gpu_host()), planned(gpu_host(profiles=("fp8-kv",)))
    assert profile.kv_pool_tokens == pytest.approx(2 * plain.kv_pool_tokens, rel=1e-4)
    by_key = planned(gpu_host(kv_cache_dtype="fp8_e4m3"))
    assert (profile.arguments, profile.kv_pool_tokens) == (by_key.arguments, by_key.kv_pool_tokens)
    assert profile.digest == by_key.digest


def test_the_order_in_which_they_are_named_makes_no_other_plan() -> None:
    one = planned(gpu_host(profiles=("prefill-graphs", "mixed-prefill")))
    other = planned(gpu_host(profiles=("mixed-prefill", "prefill-graphs", "prefill-graphs")))
    assert (one.arguments, one.profiles, one.notes) == (other.arguments, other.profiles, other.notes)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (
            {"profiles": ("prefil-graphs",)},
            "profile 'prefil-graphs' is not in the catalog; did you mean prefill-graphs?",
        ),
        ({"profiles": ("prefill-graphs",), "model": "devstral-2"}, "is for devstral-small-2, not for devstral-2"),
        (
            {"profiles": ("mixed-prefill",), "accelerator": "amd", "hardware": "mi300x"},
            "profile mixed-prefill is for nvidia, not for amd; take it out of fleet_profiles",
        ),
        (
            {"profiles": ("fp8-kv",), "kv_cache_dtype": "bf16"},
            "profile fp8-kv keeps keys and values in fp8_e4m3, fleet_kv_cache_dtype bf16",
        ),
        (
            {"profiles": ("prefill-graphs",), "sglang_version": "0.5.13.post1"},
            "SGLang 0.5.13.post1 has no --cuda-graph-backend-prefill; take another fleet_sglang_version",
        ),
    ],
)
def test_one_that_does_not_go_with_the_host_is_refused(keys: dict[str, object], says: str) -> None:
    with pytest.raises(PlanError) as caught:
        planned(gpu_host(**keys))
    assert says in "\n".join(caught.value.problems)


def test_none_is_for_a_cpu() -> None:
    with pytest.raises(PlanError) as caught:
        planned(cpu_host(profiles=("fp8-kv",)))
    assert "not for cpu" in "\n".join(caught.value.problems)


def test_a_baseline_without_it_does_not_judge() -> None:
    measured = measurement().model_copy(update={"profiles": ("fp8-kv",)})
    assert difference(measured, baseline()) == "it ran with fp8-kv, the baseline with no profile"
    assert difference(measured, baseline().model_copy(update={"profiles": ("fp8-kv",)})) == ""
    assert difference(measurement(), baseline()) == ""
