"""Provision plans for tests: a host's intent and the system that was seen there."""

from devstral_fleet import catalog as catalogs
from devstral_fleet import provision
from devstral_fleet.provision import ProvisionPlan
from tests.support.intents import gpu_host
from tests.support.values import HOST


def provision_plan(
    system: str = "debian", version: str = "12", *, has_docker: bool = False, **keys: object
) -> ProvisionPlan:
    """Plan for a host with that system. `keys` are the intent's."""
    facts = HOST.model_copy(update={"os_id": system, "os_version": version})
    values = {"accelerator": "nvidia", "hardware": "h100", "packages": "vendor", **keys}
    return provision.resolve(gpu_host(**values), facts, catalogs.load(), has_docker=has_docker)
