"""A registry on this machine's loopback that hosts pull from through SSH: only the layers that they lack are sent.

Served by Debian's `docker-registry` (CNCF Distribution). Its data stay, so that an image is pushed to it once.
"""

import fcntl
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from devstral_fleet.errors import DependencyError, ImageError
from devstral_fleet.images import engine
from devstral_fleet.images.engine import Show
from devstral_fleet.shell import end_with_the_controller, free_port

PROGRAM = "docker-registry"
START_S = 15.0
_ASK_S = 0.1
_REPLY_S = 10
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class Served:
    """An image that a registry has: its repository there, its manifest's digest, the size of its layers in bytes."""

    port: int
    repository: str
    digest: str
    layer_bytes: int

    def source(self, port: int) -> str:
        """Return what Docker pulls on a machine whose loopback's `port` reaches the registry."""
        return f"127.0.0.1:{port}/{self.repository}@{self.digest}"


@contextmanager
def served(reference: str, data: Path, show: Show) -> Iterator[Served]:
    """Serve an image of this machine's Docker engine while the context lasts.

    Args:
        reference: the image's name. data: directory of the registry's files; another run may serve from it too.

    Raises:
        DependencyError: there is no registry program, it does not start, or no Docker engine answers here.
        ImageError: that engine does not have the image.
    """
    data.mkdir(parents=True, exist_ok=True)
    with _registry(data) as port:
        with (data / "push.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two runs would compress the same layers
            repository, digest = _pushed(reference, port, show)
        yield Served(port, repository, digest, _layer_bytes(port, repository, digest))


@contextmanager
def _registry(data: Path) -> Iterator[int]:
    """Give the port of a registry that is ended with the context."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise DependencyError(
            f"{PROGRAM}, which hands images to hosts through SSH, is missing",
            fix=f"sudo apt-get install {PROGRAM}; or name the image with its registry: hosts pull it",
        )
    with tempfile.TemporaryDirectory(prefix="fleet-registry-") as folder:
        port, file, log = free_port(), Path(folder, "config.yml"), Path(folder, "log")
        file.write_text(yaml.safe_dump(_configuration(data, port)))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "serve", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=end_with_the_controller,
            )
        try:
            _wait(process, port, log)
            yield port
        finally:
            process.kill()  # it has written what it took before it said so
            process.wait()


def _configuration(data: Path, port: int) -> dict[str, object]:
    """Return the registry's configuration. Source: CNCF Distribution, configuration reference, version 0.1."""
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(data)}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            _ask(port, "/v2/")
            return
        time.sleep(_ASK_S)
    raise DependencyError(
        f"{PROGRAM} does not start", fix=f"try it by hand: {PROGRAM} serve", evidence=log.read_text().splitlines()[-5:]
    )


def _pushed(reference: str, port: int, show: Show) -> tuple[str, str]:
    """Push the image; return its repository and the digest that the registry gave it."""
    repository, _, tag = reference.partition(":")  # an image with a registry in its name is pulled, and never gets here
    if engine.facts(reference) is None:
        raise ImageError(
            f"{reference} is neither on the host nor in this machine's Docker engine",
            fix="docker pull or docker load it here; or name it with its registry in fleet_image, and hosts pull it",
        )
    return repository, engine.push(reference, f"127.0.0.1:{port}/{repository}:{tag or 'latest'}", show)


def _layer_bytes(port: int, repository: str, digest: str) -> int:
    manifest: Mapping[str, Any] = _ask(port, f"/v2/{repository}/manifests/{digest}")
    return sum(int(layer["size"]) for layer in manifest["layers"])


def _ask(port: int, path: str) -> Mapping[str, Any]:
    """Ask the registry, without any proxy that the environment names."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": MANIFEST})
    try:
        with opener.open(request, timeout=_REPLY_S) as answer:
            held: Mapping[str, Any] = json.loads(answer.read() or b"{}")
            return held
    except urllib.error.HTTPError as error:
        raise ImageError(f"the registry answers {error.code} to {path}") from error
