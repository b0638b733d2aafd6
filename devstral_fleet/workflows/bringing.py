"""A plan's image on its way to a host: from a registry that both reach, else from this machine through SSH.

One of ours that is on neither side is built first. What talks to this machine's Docker is imported where it is needed:
few hosts get their image from here.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devstral_fleet import project
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows import planning
from devstral_fleet.workflows.host import Host

MEGA = 1e6


def build_missing(host: Host, directory: RunDirectory, inventory: Path) -> None:
    """Build the plan's image on this machine where it is one of ours and exists neither there nor here.

    Raises:
        PlaybookError: the build failed. DependencyError: no Docker engine answers here.
    """
    image = host.plan.image
    if image is None or not image.built or host.docker().image_id:
        return
    from devstral_fleet.images import engine
    from devstral_fleet.workflows import building

    if engine.facts(image.reference):
        return
    with host.record.phase("build"), building.alone():
        spec = planning.spec(host.target.intent, host.plan, inventory)
        site = building.site_of(host.target.intent)
        building.build(host.record.console, directory, spec, site, building.Builder())


@contextmanager
def image_source(host: Host) -> Iterator[str]:
    """Give what the host's Docker pulls to get the image while the context lasts; '' where the plan's name does.

    Raises:
        ImageError: this machine does not have the image either.
        DependencyError: nothing here can serve it.
    """
    image = host.plan.image
    if image is None or image.pulled or host.docker().image_id:
        yield ""
        return
    from devstral_fleet.images import registry

    progress = Progress(host)
    with registry.served(image.reference, project.CACHE / "registry", host.record.console.step) as served:
        progress.total = served.layer_bytes
        with host.shell.backward(served.port, progress.add) as port:
            yield served.source(port)
    host.record.known["image_sent_bytes"] = progress.sent


class Progress:
    """Bytes that went to a host, shown as they go. `total` is what a host without any layer gets."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.total = self.sent = 0
        self.begun = time.monotonic()

    def add(self, count: int) -> None:
        """Count what was sent; called from several threads, where a lost update costs a line nothing."""
        self.sent += count
        rate = self.sent / MEGA / max(time.monotonic() - self.begun, 0.1)
        self.host.record.console.step(f"image {self.sent / MEGA:.0f} of {self.total / MEGA:.0f} MB, {rate:.0f} MB/s")
