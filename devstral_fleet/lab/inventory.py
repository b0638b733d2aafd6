"""The lab's inventory: an ordinary one, with the keys that a site's has."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from devstral_fleet.lab import simulation
from devstral_fleet.lab.host import LabHost
from devstral_fleet.lab.image import ENGINE_BASE

GROUP, SIMULATED_GROUP = "lab", "lab_simulated"
HEAD = "---\n# Written by `invoke lab.up`, removed by `invoke lab.down`.\n"


def text(hosts: Sequence[LabHost]) -> str:
    """The file's text: `hosts` in the group lab, simulated ones in a group of their own."""
    group = {
        "hosts": {host.name: host.connection() for host in hosts if not host.simulated},
        "vars": {
            "fleet_accelerator": "cpu",
            "fleet_model": "devstral-tiny",
            "fleet_runtime": "container",
            "fleet_image_base": ENGINE_BASE.reference,
        },
    }
    stand_ins = [host for host in hosts if host.simulated]
    groups = {GROUP: group, **({SIMULATED_GROUP: _simulated(stand_ins)} if stand_ins else {})}
    return HEAD + yaml.safe_dump({"all": {"children": groups}}, sort_keys=False, width=1000)


def _simulated(hosts: Sequence[LabHost]) -> dict[str, object]:
    return {"hosts": {host.name: {**host.connection(), **simulation.named(host.simulated).keys()} for host in hosts}}


def write(path: Path, hosts: Sequence[LabHost]) -> None:
    """Write the inventory whole; one that is right already is left as it is."""
    wanted = text(hosts)
    if path.is_file() and path.read_text() == wanted:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(wanted)
    partial.replace(path)
