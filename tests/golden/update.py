"""What the golden files hold, and the program that writes them: `python -m tests.golden.update`."""

import json
from pathlib import Path
from typing import Any

from devstral_fleet import catalog as catalogs
from devstral_fleet import container, launch, launch_docker, launch_start, rolevars_provision
from devstral_fleet.catalog import Catalog
from devstral_fleet.catalog.markdown import catalog_markdown
from devstral_fleet.errors import ConfigurationError, PlanError
from devstral_fleet.intent import Connection, HostIntent
from devstral_fleet.resolve import resolve
from devstral_fleet.sources import Sources
from tests.support.provisions import KEYS, provision_plan, seen

HERE = Path(__file__).parent
CATALOG_PAGE = HERE.parent.parent / "docs" / "catalog.md"
HUB_MODELS = ("devstral-small-2", "devstral-2")
FORM_PLANS = (("h100", "devstral-2"), ("mi300x", "devstral-small-2"), ("cpu", "devstral-tiny"))
FOLDERS = ("cookbook", "plans", "counts", "forms", "starts", "provisions")
COUNTS = (1, 2, 4, 8)
COUNTED = ("h100", "h200", "mi300x")
MINOR_VERSIONS = {"9": "9.6", "10": "10.1"}
"""Whole versions of the RHEL family, whose systems the catalog knows by their first number."""
HOST_GPUS = 8
TIME = "20260102T030405Z"


def cookbook_lines(catalog: Catalog) -> dict[str, str]:
    """{file name: text} of the cookbook's lines."""
    return {
        f"cookbook/{gpu}-{model}{'-tools' if tools else ''}.txt": launch.cookbook(gpu, model, tools, catalog=catalog)
        + "\n"
        for model in HUB_MODELS
        for gpu in catalog.model(model).tensor_parallel
        for tools in (False, True)
    }


def plans(catalog: Catalog) -> dict[str, str]:
    """{file name: text} of the plans of hosts with eight GPUs."""
    pairs = [(gpu.name, model) for gpu in catalog.gpus.values() for model in HUB_MODELS if gpu.accelerator != "cpu"]
    return {f"plans/{gpu}-{model}.json": plan_text(catalog, gpu, model) for gpu, model in pairs}


def counts(catalog: Catalog) -> dict[str, str]:
    """{file name: text} of what the number of GPUs decides, each model over all of a host's one to eight."""
    return {
        f"counts/{gpu}-{model}.json": json.dumps({n: counted(catalog, gpu, model, n) for n in COUNTS}, indent=1) + "\n"
        for gpu in COUNTED
        for model in HUB_MODELS
    }


def counted(catalog: Catalog, gpu: str, model: str, count: int) -> dict[str, object]:
    """What of one plan follows from the number of GPUs, or why there is no plan."""
    try:
        wish = host(catalog, gpu, model).model_copy(update={"gpu_count": count, "tensor_parallel": count})
        plan = resolve(wish, catalog, Sources())
    except PlanError as error:
        return {"problems": error.problems}
    decided = plan.model_dump(mode="json", include={"tp", "gpus", "context_length", "kv_pool_tokens", "arguments"})
    return {**decided, "devices": launch_docker.devices(plan), "environment": container.environment(plan)}


def host(catalog: Catalog, gpu: str, model: str) -> HostIntent:
    """A host with eight GPUs."""
    return HostIntent(
        name="gpu01",
        connection=Connection(kind="ssh", address="192.0.2.1"),
        accelerator=catalog.gpu(gpu).accelerator,
        hardware=gpu,
        gpu_count=HOST_GPUS,
        model=model,
    )


def plan_text(catalog: Catalog, gpu: str, model: str) -> str:
    try:
        return resolve(host(catalog, gpu, model), catalog, Sources()).model_dump_json(indent=1) + "\n"
    except PlanError as error:
        return json.dumps({"problems": error.problems}, indent=1) + "\n"


def forms(catalog: Catalog) -> dict[str, str]:
    """{file name: text} of the forms of plans without a host."""
    texts = {}
    for gpu, model in FORM_PLANS:
        plan = launch.generate(catalog, gpu, model, True)
        for form in launch.FORMS:
            try:
                texts[f"forms/{gpu}.{form}"] = launch.write(plan, form).rstrip("\n") + "\n"
            except ConfigurationError as error:
                texts[f"forms/{gpu}.{form}"] = f"{error.message}\n{error.fix}\n"
    return texts


def starts(catalog: Catalog) -> dict[str, str]:
    """{file name: text} of what a host's service runs, on each vendor's GPUs."""
    pairs = [(gpu, model) for gpu, model in FORM_PLANS if gpu != "cpu"]
    plans = {gpu: resolve(host(catalog, gpu, model), catalog, Sources()) for gpu, model in pairs}
    return {f"starts/{gpu}.sh": launch_start.start(plan, f"{TIME}-{plan.digest}") for gpu, plan in plans.items()}


def provisions(catalog: Catalog) -> dict[str, str]:
    """{file name: text} of the roles' variables of a bare GPU host, on each system and with each vendor's GPUs."""
    texts = {}
    for system in catalog.provisioning.systems:
        name, _, version = system.rpartition("-")
        for vendor, gpu in (("nvidia", "h100"), ("amd", "mi300x")):
            keys: dict[str, Any] = {
                "accelerator": vendor,
                "hardware": gpu,
                "packages": "auto",
                "repository_keys": KEYS,
            }
            try:
                plan = provision_plan(name, MINOR_VERSIONS.get(version, version), found=seen(switches=4), **keys)
                text = json.dumps(rolevars_provision.provision(plan, python="python3", lock_wait_s=300), indent=1)
            except ConfigurationError as error:
                text = f"{error.message}\n{error.fix}"
            texts[f"provisions/{system}-{vendor}.json"] = text + "\n"
    return texts


def every_file() -> dict[Path, str]:
    """Every golden file and the catalog's page, with the text they should have."""
    catalog = catalogs.load()
    makers = (cookbook_lines, plans, counts, forms, starts, provisions)
    texts = {HERE / name: text for make in makers for name, text in make(catalog).items()}
    return {**texts, CATALOG_PAGE: catalog_markdown(catalog)}


def main() -> None:
    """Write every file, and remove golden files that nothing makes any more."""
    wanted = every_file()
    for folder in FOLDERS:
        for path in (HERE / folder).glob("*"):
            if path not in wanted:
                path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
