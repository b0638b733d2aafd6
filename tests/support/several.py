"""A site of several hosts, each of them this machine with a home and a port of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.fleet import Site, succeeded
from tests.support.ports import free_port


class SeveralHosts(Site):
    """`members` are looked at one by one; a verb runs over all, in their order, unless it names a host."""

    members: tuple[Site, ...] = ()

    @property
    def inventory(self) -> Path:
        return self.directory / "inventory"

    @property
    def hooks(self) -> Path:
        return self.inventory / "hooks"

    def set(self, **keys: Any) -> "SeveralHosts":
        """Change keys of every host, and write the inventory."""
        for member in self.members:
            member.set(**keys)
        return self.write()

    def write(self) -> "SeveralHosts":
        """Write the inventory as the members are now."""
        self.inventory.mkdir(parents=True, exist_ok=True)
        hosts = {member.host: member.entry() for member in self.members}
        (self.inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}, sort_keys=False))
        return self

    def hook(self, name: str, script: str) -> None:
        """Write an executable hook, a script of sh."""
        self.hooks.mkdir(parents=True, exist_ok=True)
        program = self.hooks / name
        program.write_text(f"#!/bin/sh\nset -eu\n{script}\n")
        program.chmod(0o755)

    def links(self, name: str) -> list[str]:
        """The release that a link of each host names."""
        return [member.link(name) for member in self.members]

    def proven(self) -> bool:
        """Whether every host serves what was proven there."""
        return self.links("serving") == self.links("current")

    def outcomes(self) -> dict[str, str]:
        """How each host of the newest run ended."""
        return {host["host"]: host["outcome"] for host in self.report()["hosts"]}


@contextmanager
def several(directory: Path, count: int, **keys: Any) -> Iterator[SeveralHosts]:
    """Give a site of `count` hosts h1, h2, ...; their engines are stopped at the end."""
    here = SeveralHosts(directory, directory, 0, host="all")
    names = [f"h{number}" for number in range(1, count + 1)]
    here.members = tuple(Site(directory / name, directory / name / "home", free_port(), host=name) for name in names)
    here.set(**keys)
    try:
        yield here
    finally:
        succeeded(here.invoke("stop"))
