"""The shipped catalog says what its sources say, and is found by name."""

import re

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.bench.lengths import totals
from devstral_fleet.catalog.schema import Baseline, Workload, WorkloadPoint
from devstral_fleet.errors import ConfigurationError

CATALOG = catalogs.load()
EVERY_GPU = [
    "rtx-4090",
    "rtx-5090",
    "l40s",
    "a100-40",
    "a100-80",
    "h100",
    "rtx-pro-6000",
    "h200",
    "b200",
    "mi300x",
    "mi325x",
    "mi350x",
    "mi355x",
    "cpu",
]
COOKBOOK = {
    "devstral-small-2": {"h100": 1, "h200": 1, "b200": 1, "mi300x": 1, "mi325x": 1, "mi355x": 1},
    "devstral-2": {"h100": 4, "h200": 2, "b200": 2, "mi300x": 2, "mi325x": 2, "mi355x": 2},
}
POINTS = [(workload, point) for workload in CATALOG.workloads.values() for point in workload.points]


def test_models_and_accelerators() -> None:
    assert set(CATALOG.models) == {"devstral-small-2", "devstral-2", "devstral-tiny"}
    assert list(CATALOG.gpus) == EVERY_GPU


def test_a_device_on_the_pci_bus_is_one_gpu() -> None:
    ids = [pci_id for gpu in CATALOG.gpus.values() for pci_id in gpu.pci_ids]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"(10de|1002):[0-9a-f]{4}", pci_id) for pci_id in ids)
    assert all(bool(gpu.pci_ids) == (gpu.accelerator != "cpu") for gpu in CATALOG.gpus.values())
    found = CATALOG.gpu_of("10de:2330")
    assert found is not None
    assert found.name == "h100"
    assert CATALOG.gpu_of("10de:ffff") is None


@pytest.mark.parametrize("model", COOKBOOK)
def test_tensor_parallelism_is_the_cookbooks(model: str) -> None:
    assert CATALOG.model(model).tensor_parallel == COOKBOOK[model]


@pytest.mark.parametrize(("model", "tp", "expected"), [
    ("devstral-small-2", 1, 163_840),
    ("devstral-small-2", 4, 40_960),
    ("devstral-2", 1, 360_448),
    ("devstral-2", 8, 45_056),
    ("devstral-2", 16, 45_056),
    ("devstral-tiny", 1, 512),
])  # fmt: skip
def test_kv_bytes_per_token(model: str, tp: int, expected: int) -> None:
    assert CATALOG.model(model).kv_bytes_per_token(tp, 2) == expected
    assert CATALOG.model(model).kv_bytes_per_token(tp, 1) == expected // 2


@pytest.mark.parametrize("model", ["devstral-small-2", "devstral-2"])
def test_only_powers_of_two_divide_the_heads(model: str) -> None:
    assert [tp for tp in range(1, 17) if CATALOG.model(model).divides(tp)] == [1, 2, 4, 8, 16]


@pytest.mark.parametrize(("workload", "point"), POINTS, ids=lambda value: str(getattr(value, "name", "")))
def test_totals_are_what_the_seed_draws(workload: Workload, point: WorkloadPoint) -> None:
    assert totals(workload, point.num_prompts) == (point.total_input_tokens, point.total_output_tokens)


def test_the_chat_workload_is_the_cookbooks() -> None:
    chat = CATALOG.workload("chat")
    assert (chat.input_tokens, chat.output_tokens, chat.seed, chat.range_ratio) == (1000, 1000, 1, 0.0)
    assert [(p.concurrency, p.num_prompts, p.total_input_tokens, p.total_output_tokens) for p in chat.points] == [
        (1, 10, 6101, 4220),
        (16, 80, 39668, 40805),
        (100, 500, 249831, 252662),
    ]


def test_the_seeds_numbers_are_baselines_of_unspecified_hardware() -> None:
    rows = {row.concurrency: row for row in CATALOG.baselines if row.name == "amd-unspecified-tp8"}
    assert {c: row.metrics["output_throughput"] for c, row in rows.items()} == {1: 44.75, 16: 783.13, 100: 2176.6}
    assert {c: row.metrics["mean_tpot_ms"] for c, row in rows.items()} == {1: 12.28, 16: 17.32, 100: 42.42}
    assert {row.hardware for row in rows.values()}.isdisjoint(CATALOG.gpus)


def test_of_the_contaminated_row_only_three_medians_count() -> None:
    (row,) = [row for row in CATALOG.baselines if row.contaminated]
    judged = [metric for metric in row.metrics if row.judges(metric)]
    assert (row.name, row.concurrency) == ("amd-unspecified-tp8", 1)
    assert sorted(judged) == ["median_itl_ms", "median_tpot_ms", "median_ttft_ms"]


def _measured(row: Baseline) -> tuple[str, int, str, str, int]:
    return row.hardware, row.gpu_count, row.model, row.workload, row.concurrency


def test_the_measured_rows_judge_one_h100() -> None:
    for concurrency, throughput in ((1, 96.46), (16, 1067.67), (100, 3807.53)):
        wanted = ("h100", 1, "devstral-small-2", "chat", concurrency)
        (row,) = [row for row in CATALOG.baselines if _measured(row) == wanted]
        assert row.metrics["output_throughput"] == pytest.approx(throughput, abs=0.01)
        assert row.judges("output_throughput")


def test_accuracy_is_the_cookbooks() -> None:
    (row,) = CATALOG.accuracy_baselines
    assert (row.model, row.accuracy, row.num_shots, row.num_questions) == ("devstral-2", 0.922, 8, 1316)


def test_tolerances() -> None:
    assert (CATALOG.tolerances.percent("nvidia"), CATALOG.tolerances.percent("cpu")) == (5.0, 40.0)


@pytest.mark.parametrize(("lookup", "name", "said"), [
    (CATALOG.model, "devstral-small", "did you mean devstral-small-2"),
    (CATALOG.gpu, "H100", "did you mean h100"),
    (CATALOG.gpu, "rtx4090", "did you mean rtx-4090"),
    (CATALOG.workload, "summarisation", "did you mean summarization or"),
    (CATALOG.image, "cuda14", "did you mean cuda1"),
    (CATALOG.engine, "0.5.6", "oldest first: 0.5.10.post1"),
    (CATALOG.gpu, "zx81", "known: a100-40"),
])  # fmt: skip
def test_an_unknown_name_gets_the_nearest(lookup: object, name: str, said: str) -> None:
    assert callable(lookup)
    with pytest.raises(ConfigurationError) as caught:
        lookup(name)
    assert name in caught.value.message
    assert said in caught.value.fix


@pytest.mark.parametrize(("version", "flag", "accepted"), [
    ("0.5.18", "--cuda-graph-max-bs", True),
    ("0.5.20", "--cuda-graph-max-bs", False),
    ("0.5.20", "--cuda-graph-max-bs-decode", True),
    ("0.5.13.post1", "--cuda-graph-max-bs-decode", False),
    ("0.5.10.post1", "--context-length", True),
    ("0.5.20", "--no-such-flag", False),
    ("9.9.9", "--context-length", False),
])  # fmt: skip
def test_flags_by_version(version: str, flag: str, accepted: bool) -> None:
    assert CATALOG.engines.accepts(version, flag) is accepted
