"""A registry of images on the loopback: Debian's docker-registry, as a site has one."""

import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from tests.support.fleet import until
from tests.support.ports import free_port

START_S = 20.0
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Give the address of an empty registry that is ended with the context."""
    program = shutil.which("docker-registry")
    assert program, "docker-registry is missing: run tests/setup-machine.sh"
    address = f"127.0.0.1:{free_port()}"
    storage = {"filesystem": {"rootdirectory": str(folder / "data")}}
    file = folder / "registry.yml"
    file.write_text(yaml.safe_dump({"version": 0.1, "storage": storage, "http": {"addr": address}}))
    with (folder / "registry.log").open("w") as log:
        process = subprocess.Popen([program, "serve", str(file)], stdout=log, stderr=log)
    try:
        until(lambda: _answers(address), START_S, f"the registry answers; its log is {folder}/registry.log")
        yield address
    finally:
        process.kill()
        process.wait()


def digest_in(address: str, repository: str, tag: str) -> str:
    """What the registry itself says is the digest of a tag."""
    asked = urllib.request.Request(f"http://{address}/v2/{repository}/manifests/{tag}", headers={"Accept": MANIFEST})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def _answers(address: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://{address}/v2/", timeout=2) as answer:
        return int(answer.status) == 200
    return False
