"""A catalog file that breaks its schema: the message names the file, the line and the key."""

import json
import shutil
from pathlib import Path

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.catalog.reading import DIRECTORY
from devstral_fleet.errors import CatalogError, ExitCode


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the shipped catalog, to break."""
    return Path(shutil.copytree(DIRECTORY, tmp_path / "catalog"))


def replace(path: Path, old: str, new: str) -> int:
    """Replace text once and return the line it stands on."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def test_the_copy_is_the_shipped_catalog(directory: Path) -> None:
    assert catalogs.load_from(directory) == catalogs.load()


@pytest.mark.parametrize(("file", "old", "new", "said"), [
    ("models.yml", "layers: 40", "layer: 40", "devstral-small-2.layer: Extra inputs are not permitted"),
    ("models.yml", "layers: 40", 'layers: "40"', "devstral-small-2.layers: Input should be a valid integer"),
    ("models.yml", "layers: 40", "layers: 0", "devstral-small-2.layers: Input should be greater than 0"),
    ("models.yml", "source: hub", "source: floppy", "devstral-small-2.source: Input should be 'hub' or 'generated'"),
    ("gpus.yml", "memory_mib: 24564", "memory_mib: 24 GB", "rtx-4090.memory_mib: Input should be a valid integer"),
    ("gpus.yml", "memory_mib: 24564", "memory_gb: 24", "rtx-4090.memory_gb: Extra inputs are not permitted"),
    ("images.yml", "driver_minimum: 580.65.06", "driver: 580", "images.cuda13.driver: Extra inputs"),
    ("workloads.yml", "range_ratio: 0.0", "range_ratio: 2.0", "workloads.chat.range_ratio: Input should be less"),
    ("engines.yml", "base_mib: 512", "base_mib: much", "memory.base_mib: Input should be a valid number"),
])  # fmt: skip
def test_a_broken_schema(directory: Path, file: str, old: str, new: str, said: str) -> None:
    line = replace(directory / file, old, new)
    with pytest.raises(CatalogError) as caught:
        catalogs.load_from(directory)
    every = (caught.value.message, *caught.value.evidence)
    assert any(text.startswith(f"{directory / file}:{line}: ") and said in text for text in every), every
    assert caught.value.code == ExitCode.CONFIGURATION


def test_a_missing_key_names_its_entry(directory: Path) -> None:
    replace(directory / "models.yml", "  layers: 40\n", "")
    with pytest.raises(CatalogError, match=r"models\.yml:\d+: devstral-small-2\.layers: Field required"):
        catalogs.load_from(directory)


def test_every_fault_of_a_file_is_said(directory: Path) -> None:
    replace(directory / "models.yml", "layers: 40", "layers: none")
    replace(directory / "models.yml", "layers: 88", "layers: none")
    with pytest.raises(CatalogError) as caught:
        catalogs.load_from(directory)
    assert len(caught.value.evidence) == 2


def test_malformed_yaml(directory: Path) -> None:
    line = replace(directory / "gpus.yml", "  title: NVIDIA L40S", "  title: [NVIDIA L40S")
    with pytest.raises(CatalogError) as caught:
        catalogs.load_from(directory)
    said = int(caught.value.message.removeprefix(f"{directory / 'gpus.yml'}:").partition(":")[0])
    assert line <= said <= line + 2


def test_a_key_written_twice(directory: Path) -> None:
    line = replace(directory / "models.yml", "layers: 40", "layers: 40\n  layers: 41")
    with pytest.raises(CatalogError, match=rf"models\.yml:{line + 1}: key 'layers' is written twice"):
        catalogs.load_from(directory)


def test_a_missing_file(directory: Path) -> None:
    (directory / "images.yml").unlink()
    with pytest.raises(CatalogError, match=r"images\.yml: No such file"):
        catalogs.load_from(directory)


@pytest.mark.parametrize(("file", "old", "new", "said"), [
    ("gpus.yml", "images: [cuda13, cuda12]", "images: [cuda99]", "rtx-4090: image 'cuda99'"),
    ("gpus.yml", "smoke_workload: chat", "smoke_workload: chatter", "rtx-4090: workload 'chatter'"),
    ("models.yml", "{h100: 1,", "{h1000: 1,", "devstral-small-2: GPU 'h1000'"),
    ("models.yml", "{h100: 1,", "{h100: 3,", "devstral-small-2.tensor_parallel.h100: 3 does not divide"),
    ("engines.yml", "models: [devstral-small-2] ", "models: [devstral-3] ", "prefill-graphs: model 'devstral-3'"),
    ("engines.yml", "profiles: [prefill-graphs, mixed", "profiles: [prefil, mixed", "defaults: profile 'prefil'"),
    ("engines.yml", "profiles: [prefill-graphs, mixed", "profiles: [fp8-kv, mixed", "fp8-kv changes the numbers"),
    ("engines.yml", "sglang: 0.5.17,", "sglang: 0.5.18,", "no baseline has prefill-graphs and mixed-prefill on h200"),
    ("images.yml", "cpu: 0.5.20", "cpu: 0.5.99", "sglang.cpu: version 0.5.99 is not in engines.yml"),
    ("workloads.yml", "smoke_concurrency: 16", "smoke_concurrency: 17", "smoke_concurrency 17 is none of the points"),
])  # fmt: skip
def test_files_that_contradict(directory: Path, file: str, old: str, new: str, said: str) -> None:
    replace(directory / file, old, new)
    with pytest.raises(CatalogError) as caught:
        catalogs.load_from(directory)
    assert any(said in text for text in (caught.value.message, *caught.value.evidence))


@pytest.mark.parametrize(("change", "said"), [
    ({"metrics": {"output_throughput": "fast"}}, r"baselines\.0\.metrics\.output_throughput: Input should be a valid"),
    ({"contaminated": True}, r"baselines\.0: Value error, a contaminated row must name"),
    ({"judged_metrics": ["speed"]}, r"baselines\.0: Value error, judged_metrics not among metrics: speed"),
    ({"recorded": "yesterday"}, r"baselines\.0\.recorded: String should match"),
    ({"mood": 1}, r"baselines\.0\.mood: Extra inputs"),
    ({"model": "devstral-9"}, "h100-tp1: model 'devstral-9' is not in the catalog"),
])  # fmt: skip
def test_a_broken_baseline(directory: Path, change: dict[str, object], said: str) -> None:
    path = directory / "baselines" / "h100-tp1.json"
    document = json.loads(path.read_text())
    document["baselines"][0].update(change)
    path.write_text(json.dumps(document, indent=1))
    with pytest.raises(CatalogError, match=said):
        catalogs.load_from(directory)


def test_a_baseline_file_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text("{ not json")
    with pytest.raises(CatalogError, match=r"own\.json:1: this is no JSON"):
        catalogs.read_baselines(path)
