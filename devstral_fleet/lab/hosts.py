"""A lab's hosts together: which there are, those that are missing made, all of them removed."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from docker.client import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container

from devstral_fleet.lab import host as hosts
from devstral_fleet.lab import keys
from devstral_fleet.lab.host import LabHost
from devstral_fleet.lab.place import HOST_LABEL, Lab
from devstral_fleet.lab.simulation import Simulation

Hosts = dict[str, LabHost]


def host_names(count: int) -> tuple[str, ...]:
    """Names of a lab's first `count` hosts."""
    return tuple(f"lab{number:02}" for number in range(1, count + 1))


def present(client: DockerClient, lab: Lab) -> Hosts:
    """The lab's hosts by name, in their names' order, running or not."""
    found = (hosts.of(container, lab) for container in _containers(client, lab))
    return {host.name: host for host in sorted(found, key=lambda host: host.name)}


def ensure(
    client: DockerClient,
    lab: Lab,
    names: Sequence[str],
    image: str,
    simulations: Mapping[str, Simulation] | None = None,
) -> tuple[Hosts, tuple[str, ...]]:
    """Have the named hosts run and let us in; all the lab's hosts, and the names of those that were started now.

    One that was left half made, or whose keys are gone, is made again. `simulations`: what some of them stand for.

    Raises:
        UnreachableError: one did not boot.
    """
    found = present(client, lab)
    started = tuple(name for name in names if not _runs(found.get(name)))
    for name in started:
        host = found.get(name)
        if host and not _whole(host):
            _remove(client, lab, host.container)
            host = None
        found[name] = host or hosts.create(client, lab, name, image, (simulations or {}).get(name))
        found[name].container.start()
    for name in started:
        found[name].wait()
    return dict(sorted(found.items())), started


def remove(client: DockerClient, lab: Lab) -> tuple[str, ...]:
    """Remove every container and volume of the lab, running or not; the names of the hosts that were."""
    containers = _containers(client, lab)
    for container in containers:
        _remove(client, lab, container)
    for volume in client.volumes.list(filters=lab.filters):  # of a host that was never made
        volume.remove()
    return tuple(sorted(container.labels[HOST_LABEL] for container in containers))


def _containers(client: DockerClient, lab: Lab) -> list[Container]:
    return list(client.containers.list(all=True, filters=lab.filters))


def _whole(host: LabHost) -> bool:
    """Whether it was started once, and a login is possible; a host's files are written before its first start."""
    return host.container.status != "created" and keys.complete(host.folder)


def _runs(host: LabHost | None) -> bool:
    return host is not None and host.container.status == "running" and _whole(host)


def _remove(client: DockerClient, lab: Lab, container: Container) -> None:
    container.remove(force=True, v=True)
    with suppress(NotFound):
        client.volumes.get(lab.name(container.labels[HOST_LABEL])).remove()
