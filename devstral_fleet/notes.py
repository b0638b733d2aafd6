"""What the reader of a plan should know about it."""

from devstral_fleet.catalog import Catalog
from devstral_fleet.fit import Demand, next_tp, pool_at
from devstral_fleet.plan import DeploymentPlan


def notes(plan: DeploymentPlan, catalog: Catalog, demand: Demand) -> tuple[str, ...]:
    """Return the plan's notes, each one sentence: what was lowered, what is not pinned, what the catalog warns of."""
    return (
        *_context(plan, demand),
        *_below_cookbook(plan, demand),
        *_precision(plan, demand),
        *_profiles(plan, catalog),
        *_nodes(plan),
        *_pins(plan),
        *_version(plan, catalog),
        *demand.gpu.notes,
        *demand.model.notes,
    )


def _context(plan: DeploymentPlan, demand: Demand) -> list[str]:
    wanted = demand.model.default_context_length
    if demand.context_length or plan.context_length >= wanted:
        return []
    more = next_tp(demand, plan.tp) if plan.gpus else 0
    rest = f" With tp {more} the pool holds {pool_at(demand, more)}." if more else ""
    return [
        f"Context length is lowered from {wanted} to {plan.context_length}:"
        f" the KV pool holds {plan.kv_pool_tokens} tokens.{rest}"
    ]


def _below_cookbook(plan: DeploymentPlan, demand: Demand) -> list[str]:
    table = demand.model.tensor_parallel.get(plan.hardware, 1)
    if plan.tp >= table:
        return []
    return [f"tp {plan.tp} is below the cookbook's {table}; the memory formula says that it fits."]


def _precision(plan: DeploymentPlan, demand: Demand) -> list[str]:
    found = []
    if demand.gpu.fp8 == "weight-only" and demand.model.precision == "fp8":
        found.append(f"{demand.gpu.title} has no FP8 arithmetic: weights stay FP8, products are 16 bit, and slower.")
    if plan.kv_cache_dtype.startswith("fp8"):
        found.append("The KV cache is FP8: compare accuracy before you rely on it.")
    return found


def _profiles(plan: DeploymentPlan, catalog: Catalog) -> list[str]:
    here = (plan.model, plan.hardware, plan.tp, plan.sglang_version)
    is_default = plan.profiles == catalog.engines.default_profiles(*here)
    chosen = [catalog.profile(name) for name in plan.profiles]
    if is_default:
        return [
            f"Profile {each.name}, a default here: {each.effect}. fleet_profiles: [] goes without." for each in chosen
        ]
    return [f"Profile {each.name}: {each.effect}. Before it serves real work, check {each.check}." for each in chosen]


def _nodes(plan: DeploymentPlan) -> list[str]:
    if plan.nodes == 1:
        return []
    return [
        f"{plan.nodes} hosts serve together: their ranks send each other pickled Python objects over TCP, neither"
        " encrypted nor authenticated (SGLang issue 24618). Whoever reaches those ports runs code there: they need a"
        " network, or a firewall, of their own."
    ]


def _pins(plan: DeploymentPlan) -> list[str]:
    found = []
    if plan.image and plan.image.built:
        pinned = "@" in plan.image.base
        found += [] if pinned else [f"Base image {plan.image.base} is not pinned by digest."]
    elif plan.image and not plan.image.digest:
        found.append(f"Image {plan.image.reference} is not pinned by digest; that the tag exists was not checked.")
    if plan.files.source == "weightless":
        found.append("No weights: the true architecture with random numbers; its speed is real, its text is noise.")
    if plan.files.source == "hub" and not plan.files.revision:
        found.append(f"No revision of {plan.repository} is pinned.")
    return found


def _version(plan: DeploymentPlan, catalog: Catalog) -> list[str]:
    known = catalog.runtimes.sglang[plan.accelerator]
    return [] if plan.sglang_version == known else [f"SGLang {plan.sglang_version} replaces the catalog's {known}."]
