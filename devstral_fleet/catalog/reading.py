"""Catalog files to a Catalog: strict, and every error names the file, the line and the key."""

import functools
import json
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from devstral_fleet.catalog.accuracy import AccuracyBenchmark
from devstral_fleet.catalog.engines import Engines
from devstral_fleet.catalog.hub import Hub
from devstral_fleet.catalog.lookup import Catalog
from devstral_fleet.catalog.provisioning import Provisioning
from devstral_fleet.catalog.schema import BaselineFile, Gpu, Images, Model, Workloads
from devstral_fleet.errors import CatalogError

DIRECTORY = Path(__file__).parent
Entry = TypeVar("Entry")
Path_ = tuple[str | int, ...]


class _Loader(yaml.CSafeLoader):
    """Safe, and a key written twice is an error where YAML's own rule is that the last one wins in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _value in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem=f"key '{key.value}' is written twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_from(directory: Path) -> Catalog:
    """Read every catalog file of `directory`.

    Raises:
        CatalogError: a file is missing, is not YAML or JSON, or breaks its schema; or two files contradict.
    """
    models = _read(directory / "models.yml", dict[str, Model], named=())
    gpus = _read(directory / "gpus.yml", dict[str, Gpu], named=())
    runtimes = _read(directory / "images.yml", Images, named=("images",))
    engines = _read(directory / "engines.yml", Engines, named=("profiles",))
    workloads = _read(directory / "workloads.yml", Workloads, named=("workloads",))
    accuracy = _read(directory / "accuracy.yml", dict[str, AccuracyBenchmark], named=())
    hub = _read(directory / "hub.yml", Hub)
    provisioning = _read(directory / "provision.yml", Provisioning, named=("systems",))
    files = [read_baselines(path) for path in sorted((directory / "baselines").glob("*.json"))]
    catalog = Catalog(
        models=models,
        gpus=gpus,
        runtimes=runtimes,
        engines=engines,
        provisioning=provisioning,
        workloads=workloads.workloads,
        accuracy=accuracy,
        hub=hub,
        tolerances=workloads.tolerances,
        starts=workloads.starts,
        limits=workloads.limits,
        baselines=tuple(row for file in files for row in file.baselines),
        accuracy_baselines=tuple(row for file in files for row in file.accuracy),
    )
    _check(catalog, directory)
    return catalog


@functools.cache
def load() -> Catalog:
    """Return the catalog that ships with the package; read once."""
    return load_from(DIRECTORY)


def read_baselines(path: Path) -> BaselineFile:
    """Read a file of baselines; a host's own has the catalog's schema.

    Raises:
        CatalogError: it is not JSON, or breaks the schema.
    """
    text = _text(path)
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"{path}:{error.lineno}: this is no JSON: {error.msg}"
        raise CatalogError(problem, fix="correct the file, or take it back from version control") from error
    try:
        return BaselineFile.model_validate_json(text)
    except ValidationError as error:
        raise _schema_error(path, text, error) from error


def _read(path: Path, kind: type[Entry], named: Path_ | None = None) -> Entry:
    """Read one YAML file; the entries under `named` get their key as `name`."""
    text = _text(path)
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - derives from the safe loader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CatalogError(f"{path}:{line}: {error.problem}", fix="correct the YAML on that line") from error
    if named is not None:
        _name_entries(data, named)
    try:
        # As JSON: strict there still means that a list is a tuple, and that "8" is no number.
        return TypeAdapter(kind).validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise _schema_error(path, text, error) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CatalogError(f"{path}: {error.strerror}", fix="restore the file from the repository") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise CatalogError(f"{path}:{line}: this is no UTF-8", fix="restore the file, or correct that line") from error


def _name_entries(data: object, path: Path_) -> None:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    if isinstance(data, dict):
        for name, entry in data.items():
            if isinstance(entry, dict):
                data[name] = {"name": name, **entry}


def _schema_error(path: Path, text: str, error: ValidationError) -> CatalogError:
    """Say every fault of a file, each with its line and key."""
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"]) or "the file"
        lines.append(f"{path}:{_line(text, fault['loc'])}: {key}: {fault['msg']}")
    fix = "correct the key; docs/catalog.md says what each file holds"
    return CatalogError(lines[0], fix=fix, evidence=lines if len(lines) > 1 else ())


def _line(text: str, location: Path_) -> int:
    """Return the line of the deepest key of `location` that is in the text; JSON is YAML too."""
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return 1
    line = 1
    for part in location:
        child = _child(node, part)
        if child is None:
            break
        key, node = child
        line = key.start_mark.line + 1
    return line


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _check(catalog: Catalog, directory: Path) -> None:
    """Compare the files with each other."""
    gpus, models = directory / "gpus.yml", directory / "models.yml"
    baselines, images = directory / "baselines", directory / "images.yml"
    problems = [
        *_unknown(gpus, "image", catalog.images, [(g.name, n) for g in catalog.gpus.values() for n in g.images]),
        *_unknown(gpus, "workload", catalog.workloads, [(g.name, g.smoke_workload) for g in catalog.gpus.values()]),
        *_unknown(
            models, "GPU", catalog.gpus, [(m.name, g) for m in catalog.models.values() for g in m.tensor_parallel]
        ),
        *_unknown(baselines, "model", catalog.models, [(row.name, row.model) for row in catalog.baselines]),
        *_unknown(baselines, "workload", catalog.workloads, [(row.name, row.workload) for row in catalog.baselines]),
        *_unknown(baselines, "model", catalog.models, [(row.name, row.model) for row in catalog.accuracy_baselines]),
        *_unknown(
            baselines, "benchmark", catalog.accuracy, [(r.name, r.benchmark) for r in catalog.accuracy_baselines]
        ),
        *_unknown(
            directory / "engines.yml",
            "model",
            catalog.models,
            [(profile.name, model) for profile in catalog.engines.profiles.values() for model in profile.models],
        ),
        *_wrong_defaults(directory / "engines.yml", catalog),
        *_unversioned(images, catalog),
        *_indivisible(models, catalog),
    ]
    if problems:
        raise CatalogError(problems[0], fix="make the files agree", evidence=problems if len(problems) > 1 else ())


def _unknown(path: Path, kind: str, known: Container[str], named: Iterable[tuple[str, str]]) -> list[str]:
    found = {(owner, name): None for owner, name in named if name not in known}
    return [f"{path}: {owner}: {kind} '{name}' is not in the catalog" for owner, name in found]


def _wrong_defaults(path: Path, catalog: Catalog) -> list[str]:
    """Name default profiles of things that there are not, that change numbers, or that nothing judges."""
    profiles = catalog.engines.profiles
    rows = {(row.model, row.hardware, row.tp, row.sglang_version, row.profiles) for row in catalog.baselines}
    found = []
    for each in catalog.engines.defaults:
        found += _unknown(path, "profile", profiles, [("defaults", name) for name in each.profiles])
        found += [
            f"{path}: defaults: {name} changes the numbers that keys and values are kept in"
            for name in each.profiles
            if name in profiles and profiles[name].kv_cache_dtype != "auto"
        ]
        if (*each.measured_on, each.profiles) not in rows:
            found.append(f"{path}: defaults: no baseline has {' and '.join(each.profiles)} on {each.hardware}")
    return found


def _unversioned(path: Path, catalog: Catalog) -> list[str]:
    return [
        f"{path}: sglang.{accelerator}: version {version} is not in engines.yml"
        for accelerator, version in catalog.runtimes.sglang.items()
        if catalog.engines.version(version) is None
    ]


def _indivisible(path: Path, catalog: Catalog) -> list[str]:
    return [
        f"{path}: {model.name}.tensor_parallel.{gpu}: {tp} does not divide its attention heads"
        for model in catalog.models.values()
        for gpu, tp in model.tensor_parallel.items()
        if not model.divides(tp)
    ]
