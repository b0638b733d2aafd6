"""Hosts to deploy to: Debian containers with a real systemd, sshd, and a user who may become root.

A host's keys are made on this machine before it starts, so its known_hosts entry is true without asking the network.
Needs root and Debian's package mmdebstrap for the image, which is made once and kept under .cache.
"""

import hashlib
import io
import secrets
import shlex
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.client import DockerClient
from docker.errors import ImageNotFound
from docker.models.containers import Container

from tests.support.debian import mirror
from tests.support.fleet import ROOT, until
from tests.support.sshd import make_key

CACHE = ROOT / ".cache" / "hosts"
SUITE = "bookworm"
USER = "deployer"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "sudo"),
    *("python3", "python3-venv", "ca-certificates", "logrotate"),
)
HOOKS = (
    f'chroot "$1" useradd --create-home --shell /bin/bash {USER}',
    f'echo "{USER} ALL=(ALL) NOPASSWD: ALL" >"$1/etc/sudoers.d/{USER}"',
    'rm "$1"/etc/ssh/ssh_host_*',
)
BOOT_S = 60.0
# What systemd needs to be process 1 of a container. Its own stop signal makes a stop an orderly shutdown.
MACHINE = {
    "command": "/sbin/init",
    "cap_add": ["SYS_ADMIN", "NET_ADMIN"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
    "cgroupns": "host",
    "tmpfs": {"/run": "", "/run/lock": ""},
    "volumes": {"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}},
    "stop_signal": "SIGRTMIN+3",
}


@dataclass
class HostContainer:
    """A running host. `folder` holds login_key, host_key and known_hosts."""

    name: str
    address: str
    port: int
    folder: Path
    container: Container

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def connection(self, known_hosts: Path | None = None) -> dict[str, Any]:
        """Ansible's keys for this host, for a site inventory."""
        return {
            "ansible_host": self.address,
            "ansible_port": self.port,
            "ansible_user": USER,
            "ansible_become": True,
            "ansible_ssh_private_key_file": str(self.folder / "login_key"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={known_hosts or self.known_hosts}",
        }

    def ssh(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command by plain ssh, as a person would; words are joined as ssh does it."""
        options = ["-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={self.known_hosts}"]
        at = ["-p", str(self.port), "-i", str(self.folder / "login_key"), f"{USER}@{self.address}"]
        return subprocess.run(["ssh", *options, *at, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def root(self, *words: str) -> str:
        """Return what a command prints that root runs on the host, by plain ssh and sudo; it must succeed."""
        done = self.ssh("sudo", shlex.join(words))
        assert done.returncode == 0, f"{self.name}: {words}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def drop_connections(self) -> None:
        """Kill every SSH session, as a broken network would."""
        self._aside("pkill", "-KILL", "-f", f"^sshd: {USER}")

    def _aside(self, *words: str) -> None:
        """Run a command by the Docker engine, where ssh is the subject. Its output may be lost and is not used."""
        status, _ = self.container.exec_run(list(words))
        assert status == 0, f"{self.name}: {words} ended with {status}"

    def put(self, files: Mapping[str, bytes], mode: int = 0o600) -> None:
        """Write files on the host, as root's; folders that are missing are made."""
        self.container.put_archive("/", _archive(files, mode))

    def put_tree(self, source: Path, destination: str, *names: str) -> None:
        """Copy folders and files of `source` to a folder of the host, as root's."""
        words = ["tar", "--create", "--owner=0", "--group=0", "--directory", str(source), *names]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as packed:
            self.container.put_archive(destination, packed.stdout)
        assert packed.returncode == 0, words

    def reboot(self) -> None:
        """Shut down in order, start again, wait until it lets users in."""
        self.container.restart(timeout=int(BOOT_S))
        self.wait()

    def cut_power(self) -> None:
        """Kill every process at once, start again, wait until it lets users in."""
        self.container.kill()
        self.container.start()
        self.wait()

    def wait(self) -> None:
        until(lambda: self.ssh("true").returncode == 0, BOOT_S, f"{self.name} lets {USER} in")

    def change_host_key(self) -> None:
        """Give the host another key, as a reinstalled one has; known_hosts keeps the old one."""
        make_key(self.folder / "host_key")
        self.put(_host_keys(self.folder))
        self._aside("systemctl", "restart", "ssh")

    def trust(self) -> None:
        """Write known_hosts anew, with the key that the host has now."""
        kind, public = (self.folder / "host_key.pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[{self.address}]:{self.port} {kind} {public}\n")


@contextmanager
def host_container(client: DockerClient, folder: Path, name: str = "gpu01") -> Iterator[HostContainer]:
    """Start a host that lets us in; it is removed at the end, with all that was written on it."""
    folder.mkdir(parents=True)
    for key in ("login_key", "host_key"):
        make_key(folder / key)
    address, port = _free_address()
    ports = {"22/tcp": (address, port)}
    container = client.containers.create(image(client), hostname=name, ports=ports, **MACHINE)
    try:
        here = HostContainer(name, address, port, folder, container)
        here.trust()
        here.put(_host_keys(folder))
        login = {f"home/{USER}/.ssh/authorized_keys": (folder / "login_key.pub").read_bytes()}
        here.put(login, 0o644)
        container.start()
        here.wait()
        yield here
    finally:
        container.remove(force=True, v=True)


def image(client: DockerClient) -> str:
    """Return the name of the hosts' image; it is made where the engine does not have it."""
    recipe = repr((SUITE, PACKAGES, HOOKS))
    tag = f"{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    name = f"devstral-fleet-host:{tag}"
    try:
        client.images.get(name)
    except ImageNotFound:
        client.api.import_image_from_file(str(_root(tag)), repository="devstral-fleet-host", tag=tag)
    return name


def _root(tag: str) -> Path:
    """Return the image's files as a tar, made on the first call."""
    path = CACHE / f"{tag}.tar"
    if not path.is_file():
        program = shutil.which("mmdebstrap")
        assert program, "mmdebstrap is missing: run `sudo tests/setup-machine.sh soak`"
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.tar")
        hooks = [f"--customize-hook={hook}" for hook in HOOKS]
        words = ["--variant=minbase", f"--include={','.join(PACKAGES)}", *hooks, SUITE, str(partial), mirror()]
        made = subprocess.run([program, *words], capture_output=True, text=True)
        assert made.returncode == 0, f"mmdebstrap: {made.stderr[-2000:]}"
        partial.rename(path)
    return path


def _free_address() -> tuple[str, int]:
    """An address of the loopback's network, and a port of it that nothing listened on a moment ago."""
    address = ".".join(["127", *(str(1 + secrets.randbelow(254)) for _ in range(3))])
    with socket.socket() as probe:
        probe.bind((address, 0))
        return address, int(probe.getsockname()[1])


def _host_keys(folder: Path) -> dict[str, bytes]:
    names = ("", ".pub")
    return {f"etc/ssh/ssh_host_ed25519_key{name}": (folder / f"host_key{name}").read_bytes() for name in names}


def _archive(files: Mapping[str, bytes], mode: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
