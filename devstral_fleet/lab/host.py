"""One host of a lab: a container whose process 1 is systemd, reached over SSH on an address of the loopback."""

import io
import secrets
import shlex
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.client import DockerClient
from docker.models.containers import Container

from devstral_fleet.errors import UnreachableError
from devstral_fleet.lab import keys
from devstral_fleet.lab.image import USER
from devstral_fleet.lab.place import HOST_LABEL, SIMULATED_LABEL, Lab
from devstral_fleet.lab.simulation import Simulation

BOOT_S = 60.0
_ASK_S = 0.2
# What systemd and an engine of its own need in a container (SYS_PTRACE: for `docker exec` there); process 1's own stop
# signal makes a stop an orderly shutdown. Forwarding is switched on from outside, for the inner engine may not:
# /proc/sys is read-only there. With it the engine runs as a real host's does, with its packet filter, in the
# container's own network namespace.
MACHINE: dict[str, Any] = {
    "command": "/sbin/init",
    "cap_add": ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
    "cgroupns": "host",
    "sysctls": {"net.ipv4.ip_forward": "1"},
    "tmpfs": {"/run": "", "/run/lock": ""},
    "stop_signal": "SIGRTMIN+3",
}
CGROUPS = "/sys/fs/cgroup"
ENGINE_DATA = "/var/lib/docker"
READY = ("sh", "-c", "! systemctl cat --quiet docker >/dev/null 2>&1 || systemctl is-active --quiet docker")


@dataclass(frozen=True)
class SshHost:
    """A host of ours that is reached over SSH. `folder` holds login_key, host_key and known_hosts."""

    name: str
    address: str
    port: int
    folder: Path

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def connection(self, known_hosts: Path | None = None) -> dict[str, Any]:
        """Ansible's keys for this host, for an inventory."""
        return {
            "ansible_host": self.address,
            "ansible_port": self.port,
            "ansible_user": USER,
            "ansible_become": True,
            "ansible_ssh_private_key_file": str(self.folder / keys.LOGIN),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={known_hosts or self.known_hosts}",
        }

    def ssh(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command by plain ssh, as a person would; words are joined as ssh does it."""
        return subprocess.run(self.ssh_argv(*words), capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def ssh_argv(self, *words: str) -> list[str]:
        """The words of that ssh."""
        options = ["BatchMode=yes", "ConnectTimeout=10", f"UserKnownHostsFile={self.known_hosts}"]
        at = ["-p", str(self.port), "-i", str(self.folder / keys.LOGIN), f"{USER}@{self.address}"]
        return ["ssh", "-F", "none", *(word for option in options for word in ("-o", option)), *at, *words]


@dataclass(frozen=True)
class LabHost(SshHost):
    """A host in a container; `simulated` is what it stands for, '' for itself."""

    container: Container
    simulated: str = ""

    def put(self, files: Mapping[str, bytes], mode: int = 0o600) -> None:
        """Write files on the host, as root's; folders that are missing are made."""
        self.container.put_archive("/", _archive(files, mode))

    def wait(self, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wait until the host has booted: it lets its user in, and its Docker engine runs where it has one.

        Raises:
            UnreachableError: it did not within a minute, or its process 1 ended.
        """
        end = clock() + BOOT_S
        while self.ssh(shlex.join(READY)).returncode != 0:
            self.container.reload()
            if clock() > end or self.container.status != "running":
                raise self._unbooted()
            sleep(_ASK_S)

    def _unbooted(self) -> UnreachableError:
        said = self.container.logs(tail=10).decode(errors="replace").splitlines()
        return UnreachableError(
            f"{self.name}: its container {self.container.name} {self.container.status}, not booted",
            fix=f"docker exec {self.container.name} systemctl --failed, or .venv/bin/invoke lab.down",
            evidence=[*said, *self.ssh("true").stderr.splitlines()],
            host=self.name,
        )


def create(client: DockerClient, lab: Lab, name: str, image: str, simulation: Simulation | None = None) -> LabHost:
    """Make a host that is not started yet, with its keys, its volume and its address; its recordings, if it has any."""
    folder = lab.folder(name)
    keys.make_keys(folder)
    address, port = _free_address()
    keys.trust(folder, address, port)
    volume = client.volumes.create(lab.name(name), labels=lab.labels)
    container = client.containers.create(
        image,
        name=lab.name(name),
        hostname=name,
        labels={**lab.labels, HOST_LABEL: name, SIMULATED_LABEL: simulation.name if simulation else ""},
        ports={"22/tcp": (address, port)},
        volumes={CGROUPS: {"bind": CGROUPS, "mode": "rw"}, volume.name: {"bind": ENGINE_DATA, "mode": "rw"}},
        **MACHINE,
    )
    host = LabHost(name, address, port, folder, container, simulation.name if simulation else "")
    host.put(keys.host_key_files(folder))
    host.put({f"home/{USER}/.ssh/authorized_keys": (folder / f"{keys.LOGIN}.pub").read_bytes()}, 0o644)
    if simulation:
        host.put(simulation.files(), 0o644)
        host.put(simulation.programs(), 0o755)
    return host


def of(container: Container, lab: Lab) -> LabHost:
    """The host that a container is."""
    name = container.labels[HOST_LABEL]
    (bound,) = container.attrs["HostConfig"]["PortBindings"]["22/tcp"]
    simulated = container.labels.get(SIMULATED_LABEL, "")
    return LabHost(name, bound["HostIp"], int(bound["HostPort"]), lab.folder(name), container, simulated)


def _free_address() -> tuple[str, int]:
    """An address of the loopback's network, and a port of it that nothing listened on a moment ago."""
    address = ".".join(["127", *(str(1 + secrets.randbelow(254)) for _ in range(3))])
    with socket.socket() as probe:
        probe.bind((address, 0))
        return address, int(probe.getsockname()[1])


def _archive(files: Mapping[str, bytes], mode: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
