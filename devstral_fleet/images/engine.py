"""The Docker engine of this machine: which images it has, what a registry says of one, an image as a file or elsewhere.

Nothing is built here and nothing on this machine is changed: that is Ansible's.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from docker.client import DockerClient, from_env
from docker.errors import APIError, DockerException, ImageNotFound

from devstral_fleet.errors import DependencyError, ImageError

MEGA = 1e6
REPLY_S, PACKING_S = 60, 900
"""How long an engine may say nothing: it packs an image of 14 GB before the first byte of that comes."""
Show = Callable[[str], None]
"""Says what goes on, in a few words."""


@dataclass(frozen=True)
class ImageFacts:
    """An image of this machine: its id, its size unpacked in bytes, its labels."""

    id: str
    size_bytes: int
    labels: dict[str, str]


def facts(reference: str) -> ImageFacts | None:
    """Look an image up; None where the engine does not have it.

    Raises:
        DependencyError: no engine answers.
    """
    with _engine() as client:
        try:
            found = client.images.get(reference)
        except ImageNotFound:
            return None
        return ImageFacts(str(found.id), int(found.attrs["Size"]), dict(found.labels))


def digest(reference: str) -> str:
    """Ask the registry of an image, through the engine with its logins, which digest the name has now.

    Raises:
        DependencyError: no engine answers. ImageError: the registry does not, or has no such image.
    """
    with _engine() as client:
        try:
            return str(client.images.get_registry_data(reference).id)
        except APIError as error:
            raise ImageError(
                f"no registry gives a digest of {reference}: {error.explanation or error}",
                fix="check its name and that this machine's Docker engine reaches the registry: docker pull says more",
            ) from error


def save(reference: str, file: Path, show: Show) -> int:
    """Write an image with its name to a file that `docker load` reads; return its size in bytes. It appears whole.

    Raises:
        DependencyError: no engine answers. ImageError: it does not have the image.
    """
    partial = file.with_name(f".{file.name}.partial")
    written = 0
    with _engine(PACKING_S) as client, partial.open("wb") as out:
        try:
            for chunk in client.images.get(reference).save(named=True):
                written += out.write(chunk)
                show(f"writing {written / MEGA:.0f} MB")
        except ImageNotFound as error:
            raise ImageError(f"{reference} is not in this machine's Docker engine", fix=_BUILD) from error
    partial.replace(file)
    return written


def push(reference: str, target: str, show: Show) -> str:
    """Push an image by another name; return the digest that the registry gave it. The name is gone afterwards.

    Args:
        target: repository with its registry, and tag.

    Raises:
        DependencyError: no engine answers. ImageError: it does not have the image, or the registry does not take it.
    """
    repository, _, tag = target.rpartition(":")
    with _engine(PACKING_S) as client:
        try:
            client.images.get(reference).tag(repository, tag)
        except ImageNotFound as error:
            raise ImageError(f"{reference} is not in this machine's Docker engine", fix=_BUILD) from error
        try:
            return _push(client, repository, tag, show)
        finally:
            client.images.remove(target)  # the name alone; the image keeps its own


_BUILD = ".venv/bin/invoke build --image NAME makes it; docker pull or docker load brings it"


def _push(client: DockerClient, repository: str, tag: str, show: Show) -> str:
    given, done = "", dict[str, int]()
    for event in client.images.push(repository, tag=tag, stream=True, decode=True):
        if "error" in event:
            raise ImageError(
                f"the registry did not take {repository}:{tag}: {event['error']}",
                fix="docker login says who may push there; a registry without TLS must be on this machine's loopback",
            )
        given = str(event.get("aux", {}).get("Digest", given))
        done[str(event.get("id", ""))] = int(event.get("progressDetail", {}).get("current", 0) or 0)
        show(f"packing {sum(done.values()) / MEGA:.0f} MB")
    return given


@contextmanager
def _engine(patience_s: int = REPLY_S) -> Iterator[DockerClient]:
    """Give a client of the engine ($DOCKER_HOST, else Docker's own default)."""
    try:
        with closing(from_env(timeout=patience_s)) as client:
            yield client
    except DockerException as error:
        raise DependencyError(
            "this machine's Docker engine does not answer as it must",
            fix="docker info says whether it runs and lets this user in; sudo apt-get install docker.io",
            evidence=str(error).splitlines(),
        ) from error
