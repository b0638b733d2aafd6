"""A host's profiles: settings of the engine by their names in the catalog, the host's own words or the defaults."""

from collections.abc import Iterable, Sequence

from devstral_fleet.catalog import Catalog
from devstral_fleet.catalog.engines import Profile
from devstral_fleet.intent import HostIntent, KvCacheDtype


def chosen(intent: HostIntent, catalog: Catalog, tp: int, sglang_version: str) -> tuple[Profile, ...]:
    """Return the named ones, or the defaults, in the catalog's order, so that equal choices are equal plans."""
    defaults = catalog.engines.default_profiles(intent.model, intent.hardware, tp, sglang_version)
    return _known(defaults if intent.profiles is None else intent.profiles, catalog)


def named(intent: HostIntent, catalog: Catalog) -> tuple[Profile, ...]:
    """Return those that the host asks for and the catalog knows, in the catalog's order."""
    return _known(intent.profiles or (), catalog)


def _known(names: Sequence[str], catalog: Catalog) -> tuple[Profile, ...]:
    return tuple(profile for name, profile in catalog.engines.profiles.items() if name in names)


def arguments(profiles: Iterable[Profile]) -> tuple[str, ...]:
    """Return the words that they add to the engine's command."""
    return tuple(word for profile in profiles for word in profile.arguments)


def kv_cache_dtype(intent: HostIntent, catalog: Catalog) -> KvCacheDtype:
    """Return the numbers that keys and values are kept in: the host's own word, else that of a profile it asks for."""
    wanted = (profile.kv_cache_dtype for profile in named(intent, catalog) if profile.kv_cache_dtype != "auto")
    return intent.kv_cache_dtype if intent.kv_cache_dtype != "auto" else next(wanted, "auto")


def refused(intent: HostIntent, catalog: Catalog) -> list[str]:
    """Return why profiles do not go with the host, each a sentence with its fix."""
    return [
        f"profile {profile.name} {reason}; take it out of fleet_profiles"
        for profile in named(intent, catalog)
        for reason in _reasons(profile, intent)
    ]


def _reasons(profile: Profile, intent: HostIntent) -> list[str]:
    found = []
    if intent.model not in profile.models:
        found.append(f"is for {_either(profile.models)}, not for {intent.model}")
    if intent.accelerator not in profile.accelerators:
        found.append(f"is for {_either(profile.accelerators)}, not for {intent.accelerator}")
    if "auto" not in (profile.kv_cache_dtype, intent.kv_cache_dtype) and (
        profile.kv_cache_dtype != intent.kv_cache_dtype
    ):
        found.append(f"keeps keys and values in {profile.kv_cache_dtype}, fleet_kv_cache_dtype {intent.kv_cache_dtype}")
    return found


def _either(names: Sequence[str]) -> str:
    return " or ".join(names)
