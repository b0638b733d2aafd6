"""Hosts as the inventory would give them, for tests of plans."""

from typing import Any

from devstral_fleet import catalog as catalogs
from devstral_fleet.intent import Connection, HostIntent
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.resolve import resolve
from devstral_fleet.sources import Sources

SOURCES = Sources(
    requirements={"engine-cpu.lock": b"pinned==1\n"},
    shims=b"shim",
    recipes={recipe: {"Dockerfile": f"FROM {recipe}\n".encode()} for recipe in ("cuda", "rocm", "cpu")},
    trust={"/site/ca.pem": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
)


def gpu_host(**keys: Any) -> HostIntent:
    """One host with eight H100, the rest as `keys` say."""
    fields: dict[str, Any] = {
        "name": "gpu01",
        "connection": Connection(kind="ssh", address="192.0.2.1"),
        "accelerator": "nvidia",
        "hardware": "h100",
        "gpu_count": 8,
    }
    return HostIntent(**{**fields, **keys})


def cpu_host(**keys: Any) -> HostIntent:
    """This machine with the tiny model, the rest as `keys` say."""
    fields: dict[str, Any] = {
        "name": "local",
        "connection": Connection(kind="local"),
        "accelerator": "cpu",
        "hardware": "cpu",
        "model": "devstral-tiny",
        "runtime": "native",
        "home": "/srv/fleet",
    }
    return HostIntent(**{**fields, **keys})


def planned(intent: HostIntent) -> DeploymentPlan:
    """The plan of one host by the shipped catalog."""
    return resolve(intent, catalogs.load(), SOURCES)
