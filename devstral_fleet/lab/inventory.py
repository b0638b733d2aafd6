"""The lab's inventory: an ordinary one, with the keys that a site's has."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from devstral_fleet.lab.host import LabHost
from devstral_fleet.lab.image import ENGINE_BASE

GROUP = "lab"
HEAD = "---\n# Written by `invoke lab.up`, removed by `invoke lab.down`.\n"


def text(hosts: Sequence[LabHost]) -> str:
    """The file's text: `hosts` in the group lab."""
    group = {
        "hosts": {host.name: host.connection() for host in hosts},
        "vars": {
            "fleet_accelerator": "cpu",
            "fleet_model": "devstral-tiny",
            "fleet_runtime": "container",
            "fleet_image_base": ENGINE_BASE.reference,
        },
    }
    return HEAD + yaml.safe_dump({"all": {"children": {GROUP: group}}}, sort_keys=False, width=1000)


def write(path: Path, hosts: Sequence[LabHost]) -> None:
    """Write the inventory whole; one that is right already is left as it is."""
    wanted = text(hosts)
    if path.is_file() and path.read_text() == wanted:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(wanted)
    partial.replace(path)
