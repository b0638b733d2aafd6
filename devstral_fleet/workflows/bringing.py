"""A plan's image on its way to a host: from a registry that both reach, else from this machine through SSH."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from devstral_fleet import project
from devstral_fleet.images import registry
from devstral_fleet.workflows.host import Host

MEGA = 1e6


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
