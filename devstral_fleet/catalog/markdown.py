"""docs/catalog.md, made from the catalog: `python -m tests.golden.update` writes it, a test compares it."""

from collections.abc import Iterable, Sequence

from devstral_fleet.bench.goodput import Objective
from devstral_fleet.catalog.engines import DefaultProfiles
from devstral_fleet.catalog.lookup import Catalog
from devstral_fleet.catalog.schema import Baseline, Gpu, Model

INTRODUCTION = """\
# The catalog

Made from `devstral_fleet/catalog/*.yml` and `baselines/*.json`; do not edit. Write it again with
`.venv/bin/python -m tests.golden.update`. What a plan makes of it: `.venv/bin/invoke plan --host local`.
"""
SHOWN = ("output_throughput", "median_ttft_ms", "median_tpot_ms", "median_itl_ms")


def catalog_markdown(catalog: Catalog) -> str:
    """Return the page's text."""
    sections = (
        ("Models", _models(catalog.models.values())),
        ("Accelerators", _gpus(catalog.gpus.values())),
        ("Images", _images(catalog)),
        ("Native environments", _native(catalog)),
        ("Systems that can be provisioned", _systems(catalog)),
        ("SGLang versions", _versions(catalog)),
        ("Flags that not every version has", _flags(catalog)),
        ("Profiles", _profiles(catalog)),
        ("Workloads", _workloads(catalog)),
        ("Baselines", _baselines(catalog.baselines)),
        ("Accuracy benchmarks", _accuracy_benchmarks(catalog)),
        ("Accuracy", _accuracy(catalog)),
    )
    return INTRODUCTION + "".join(f"\n## {title}\n\n{text}" for title, text in sections)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def _models(models: Iterable[Model]) -> str:
    head = ("name", "repository", "precision", "weights GiB", "context tokens", "KV bytes/token", "tp", "licence")
    return _table(
        head,
        [
            (
                f"`{model.name}`",
                f"`{model.repository}`",
                model.precision,
                f"{model.weights_gib:g}",
                f"{model.default_context_length} (at least {model.minimum_context_length}, at most"
                f" {model.maximum_context_length})",
                model.kv_bytes_per_token(1, 2),
                ", ".join(f"{gpu} {tp}" for gpu, tp in model.tensor_parallel.items()) or "1",
                model.licence,
            )
            for model in models
        ],
    )


def _systems(catalog: Catalog) -> str:
    return _table(
        ("system", "packages", "its own Docker engine", "its own NVIDIA driver", "proven"),
        [
            (f"`{each.name}`", each.family, _names(each.docker), _names(each.nvidia), each.proven)
            for each in catalog.provisioning.systems.values()
        ],
    )


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _gpus(gpus: Iterable[Gpu]) -> str:
    return _table(
        ("name", "accelerator", "PCI", "memory MiB", "architecture", "FP8", "attention", "images"),
        [
            (
                f"`{gpu.name}`",
                gpu.accelerator,
                ", ".join(gpu.pci_ids) or "-",
                gpu.memory_mib or "-",
                gpu.architecture,
                gpu.fp8,
                gpu.attention_backend,
                ", ".join(gpu.images) or "-",
            )
            for gpu in gpus
        ],
    )


def _images(catalog: Catalog) -> str:
    return _table(
        ("name", "reference", "built by", "runs as it is", "driver at least", "disk GiB"),
        [
            (
                f"`{image.name}`",
                f"`{image.reference(catalog.runtimes.sglang[image.accelerator])}`",
                f"`docker/{image.recipe}`",
                "yes" if image.carries_engine else "no",
                image.driver_minimum or "-",
                f"{image.disk_gib:g}",
            )
            for image in catalog.images.values()
        ],
    )


def _native(catalog: Catalog) -> str:
    return _table(
        ("accelerator", "requirements", "torch", "KV pool tokens", "disk GiB"),
        [
            (name, f"`{each.requirements}`", f"`{each.torch}`", each.max_total_tokens, f"{each.disk_gib:g}")
            for name, each in catalog.runtimes.native.items()
        ],
    )


def _versions(catalog: Catalog) -> str:
    used = catalog.runtimes.sglang
    return _table(
        ("SGLang", "transformers", "Python at least", "used for"),
        [
            (
                version.version,
                version.transformers,
                version.python_minimum,
                ", ".join(name for name, chosen in used.items() if chosen == version.version) or "-",
            )
            for version in catalog.engines.versions
        ],
    )


def _flags(catalog: Catalog) -> str:
    return _table(
        ("flag", "from", "to"),
        [
            (f"`{flag}`", span.since or "the first", span.until or "the last")
            for flag, span in catalog.engines.flags.items()
            if span.since or span.until
        ],
    )


def _workloads(catalog: Catalog) -> str:
    return _table(
        ("name", "lengths in/out", "concurrency x prompts", "tokens in/out", "deploy runs it", "objective"),
        [
            (
                f"`{workload.name}`",
                f"{workload.input_tokens}/{workload.output_tokens}",
                f"{point.concurrency} x {point.num_prompts}",
                f"{point.total_input_tokens}/{point.total_output_tokens}",
                f"{workload.smoke_repeats} times" if point == workload.smoke_point else "-",
                _objective(workload.objective),
            )
            for workload in catalog.workloads.values()
            for point in workload.points
        ],
    )


def _objective(one: Objective | None) -> str:
    return f"TTFT {one.ttft_ms:g} ms, TPOT {one.tpot_ms:g} ms" if one else "-"


def _profiles(catalog: Catalog) -> str:
    return _table(
        (
            "`fleet_profiles`",
            "adds",
            "models",
            "accelerators",
            "effect",
            "what was measured",
            "check first",
            "default on",
        ),
        [
            (
                f"`{profile.name}`",
                f"`{' '.join(profile.arguments) or f'--kv-cache-dtype {profile.kv_cache_dtype}'}`",
                ", ".join(profile.models),
                ", ".join(profile.accelerators),
                profile.effect,
                profile.won,
                profile.check,
                "; ".join(_measured_on(each) for each in catalog.engines.defaults if profile.name in each.profiles)
                or "-",
            )
            for profile in catalog.engines.profiles.values()
        ],
    )


def _measured_on(default: DefaultProfiles) -> str:
    gpus = "one" if default.tensor_parallel == 1 else default.tensor_parallel
    return f"{default.model} on {gpus} {default.hardware}, SGLang {default.sglang}"


def _baselines(rows: Iterable[Baseline]) -> str:
    return _table(
        ("name", "hardware", "GPUs", "model", "workload", "concurrency", *SHOWN, "judges by", "source"),
        [
            (
                f"`{row.name}`",
                row.hardware,
                row.gpu_count,
                " with ".join((row.model, *row.profiles)),
                row.workload,
                row.concurrency,
                *(f"{row.metrics[name]:.2f}" for name in SHOWN),
                f"contaminated: only {', '.join(row.judged_metrics)}" if row.contaminated else "all",
                row.provenance,
            )
            for row in rows
        ],
    )


def _accuracy_benchmarks(catalog: Catalog) -> str:
    return _table(
        ("name", "file", "SHA-256", "licence", "shots", "questions", "judged from", "fails below its baseline by"),
        [
            (
                f"`{each.name}`",
                f"[`{each.file}`]({each.url})",
                f"`{each.sha256}`",
                each.licence,
                each.num_shots,
                f"{each.num_questions} of {each.rows}",
                f"{each.least_judged_questions} questions",
                f"{each.standard_errors:g} standard errors",
            )
            for each in catalog.accuracy.values()
        ],
    )


def _accuracy(catalog: Catalog) -> str:
    return _table(
        ("name", "hardware", "model", "benchmark", "questions", "accuracy", "invalid"),
        [
            (
                f"`{row.name}`",
                row.hardware,
                row.model,
                f"{row.benchmark}, {row.num_shots} shots",
                row.num_questions,
                row.accuracy,
                row.invalid,
            )
            for row in catalog.accuracy_baselines
        ],
    )
