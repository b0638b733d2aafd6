"""The inventory: which hosts there are and what each should be. Ansible reads the files; this package judges them.

`load` gives typed hosts, `resolve_path` finds the inventory, `add_host` writes a new host into it.
"""

from devstral_fleet.inventory.edit import add_host, require_new
from devstral_fleet.inventory.listing import load, resolve_path

__all__ = ["add_host", "load", "require_new", "resolve_path"]
