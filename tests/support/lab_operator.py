"""Someone who uses the lab by its verbs."""

import os
from dataclasses import dataclass

from docker.client import DockerClient

from devstral_fleet import lab as labs
from tests.support.fleet import INVOKE, Ended, Running
from tests.support.host_container import HostContainer

DEADLINE_S = 900.0
"""The first lab.up makes the roots of two images: a minute each alone, and others may have the cores."""


@dataclass
class Operator:
    """Someone with a lab in a directory of their own, in the engine that the tests' lab is in."""

    client: DockerClient
    lab: labs.Lab

    def invoke(self, *words: str) -> Ended:
        own = {"FLEET_LAB": str(self.lab.directory), "FLEET_RUNS": f"{self.lab.directory}-runs"}
        return Running([str(INVOKE), *words], {**os.environ, **own}).end(DEADLINE_S)

    def on(self, host: str, *words: str) -> Ended:
        """Run a verb on a host or group of the lab."""
        return self.invoke(*words, f"--inventory={self.lab.inventory}", f"--host={host}")

    def host(self, name: str) -> HostContainer:
        return HostContainer(**vars(labs.present(self.client, self.lab)[name]))

    def left(self) -> list[str]:
        """Names of all that the engine and the directory hold of this lab."""
        containers = [container.name for container in self.client.containers.list(all=True, filters=self.lab.filters)]
        volumes = [volume.name for volume in self.client.volumes.list(filters=self.lab.filters)]
        networks = [network.name for network in self.client.networks.list(filters=self.lab.filters)]
        return [*containers, *volumes, *networks, *map(str, self.lab.directory.parent.glob("lab"))]
