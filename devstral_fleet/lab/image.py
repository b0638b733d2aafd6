"""The lab's two images, of its hosts and to build engines from: Debian roots by mmdebstrap, so no registry is needed.

Made once: each root is kept as a tar under `cache`, its image in the Docker engine. Both carry the recipe's digest.
"""

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from docker.client import DockerClient
from docker.errors import APIError, ImageNotFound

from devstral_fleet.errors import DependencyError

SUITE = "bookworm"
USER = "deployer"
# overlay2 or nothing: an engine that falls back to copying whole layers would fill the disk in silence.
HOOKS = (
    f'chroot "$1" useradd --create-home --shell /bin/bash {USER}',
    f'echo "{USER} ALL=(ALL) NOPASSWD: ALL" >"$1/etc/sudoers.d/{USER}"',
    'rm "$1"/etc/ssh/ssh_host_*',
    'mkdir -p "$1/etc/docker" && echo \'{"storage-driver": "overlay2"}\' >"$1/etc/docker/daemon.json"',
)
EVIDENCE_LINES = 10


@dataclass(frozen=True)
class Root:
    """A Debian root as an image: its repository, the packages beside the smallest Debian, what is done to it then."""

    repository: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = ()
    suite: str = SUITE

    @property
    def tag(self) -> str:
        """Suite and digest of the recipe."""
        recipe = repr((self.suite, self.packages, self.hooks))
        return f"{self.suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"

    @property
    def reference(self) -> str:
        """Name of the image in a Docker engine."""
        return f"{self.repository}:{self.tag}"


HOST = Root(
    "devstral-fleet-host",
    (
        *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "sudo", "procps", "iproute2"),
        *("python3", "python3-venv", "ca-certificates", "logrotate", "docker.io", "iptables", "rsync"),
    ),
    HOOKS,
)
ENGINE_BASE = Root("devstral-fleet-engine-base", ("ca-certificates", "curl", "python3", "python3-venv", "tini"))
"""What the lab's engines are built from: it has all that their Dockerfile would ask apt for."""


def ensure(client: DockerClient, cache: Path, root: Root = HOST) -> str:
    """Return the image's name; it is made where the engine does not have it.

    Raises:
        DependencyError: mmdebstrap is missing or failed.
    """
    try:
        client.images.get(root.reference)
    except ImageNotFound:
        client.api.import_image_from_file(str(root_tar(cache, root)), repository=root.repository, tag=root.tag)
    return root.reference


def remove(client: DockerClient, cache: Path, root: Root = HOST) -> bool:
    """Remove the image and the root it was made from. False: hosts of another lab are made of it, so both stay."""
    try:
        client.images.remove(root.reference)
    except ImageNotFound:
        pass
    except APIError as error:
        if error.status_code != HTTPStatus.CONFLICT:
            raise
        return False
    _tar(cache, root).unlink(missing_ok=True)
    return True


def mirror() -> str:
    """Return the Debian mirror that this machine's apt uses; '' where it knows none (Ubuntu)."""
    argv = ["apt-get", "indextargets", "Created-By: Packages", "--format", "$(ORIGIN) $(SITE)"]
    try:
        sites = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
    return next((site.removeprefix("Debian ") for site in sites if re.fullmatch(r"Debian .*/debian/?", site)), "")


def _tar(cache: Path, root: Root) -> Path:
    return cache / f"{root.repository}-{root.tag}.tar"


def root_tar(cache: Path, root: Root) -> Path:
    """Return the image's files as a tar, made on the first call."""
    path = _tar(cache, root)
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.tar")
        _debootstrap(partial, root)
        partial.rename(path)
    return path


def _debootstrap(target: Path, root: Root) -> None:
    program = shutil.which("mmdebstrap")
    if program is None:
        raise DependencyError(
            "mmdebstrap, which makes the lab's images, is missing", fix="sudo apt-get install mmdebstrap uidmap"
        )
    hooks = [f"--customize-hook={hook}" for hook in root.hooks]
    words = [program, "--variant=minbase", f"--include={','.join(root.packages)}", *hooks, root.suite, str(target)]
    site = mirror()
    made = subprocess.run([*words, *([site] if site else [])], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if made.returncode:
        target.unlink(missing_ok=True)
        raise DependencyError(
            f"mmdebstrap could not make the lab's Debian root (it ended with {made.returncode})",
            fix="it needs a Debian mirror and its keys, and uidmap where you are not root: "
            "sudo apt-get install debian-archive-keyring uidmap",
            evidence=made.stderr.strip().splitlines()[-EVIDENCE_LINES:],
        )
