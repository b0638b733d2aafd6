"""Hosts that cost this machine next to nothing: an SSH server that repeats what a simulated GPU host answered.

A command runs here once, alone, on the files of a simulated host. From then on its answer comes from memory, after as
long as it took then: as from a host of its own, whose work is not the controller's.
"""

import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import paramiko
import yaml
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from devstral_fleet.lab import simulation
from devstral_fleet.lab.keys import make_key
from devstral_fleet.lab.simulation import NVIDIA_SMI
from devstral_fleet.probes import place
from tests.support.simulated_root import SimulatedRoot

SIMULATED = "h100x8"
DOCKER = "case $1 in version) echo 28.1.1 ;; info) echo nvidia ;; *) exit 1 ;; esac"
"""A Docker engine that has neither the image nor a container."""


class Answer(NamedTuple):
    """What a command left, and how long it took, in seconds."""

    status: int
    output: bytes
    errors: bytes
    took_s: float


@dataclass
class RecordedHost:
    """A simulated host's files in a folder, and what was answered on them so far."""

    folder: Path
    answers: dict[tuple[str, bytes], Answer] = field(default_factory=dict)
    alone: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, folder: Path) -> "RecordedHost":
        """Write the host's files and stand-ins of its programs."""
        root = folder / "root"
        SimulatedRoot(root).fill({"host": SIMULATED})
        (folder / "bin").mkdir()
        for name, text in {"nvidia-smi": f"cat '{root / NVIDIA_SMI}'", "docker": DOCKER}.items():
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / "bin" / name).chmod(0o755)
        return cls(folder)

    def answer(self, command: str, text: bytes) -> Answer:
        """Return what the command answers; the first time it is run for that."""
        with self.alone:
            if (command, text) not in self.answers:
                self.answers[command, text] = self._run(command, text)
            return self.answers[command, text]

    def _run(self, command: str, text: bytes) -> Answer:
        here = f"\nsimulated={SIMULATED} root='{self.folder / 'root'}'\n"
        environment = {**os.environ, "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        start = time.perf_counter()
        script = text.decode().replace(place.SCRIPT, here).encode()
        done = subprocess.run(["sh", "-c", command], input=script, capture_output=True, env=environment)
        return Answer(done.returncode, done.stdout, done.stderr, time.perf_counter() - start)


class Session(paramiko.ServerInterface):
    """One connection; only who has the client's key gets one."""

    def __init__(self, host: RecordedHost, client: str) -> None:
        self.host, self.client = host, client

    def get_allowed_auths(self, username: str) -> str:
        del username
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        del username
        return AUTH_SUCCESSFUL if key.get_base64() == self.client else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        del kind, chanid
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._answer, args=(channel, command.decode()), daemon=True).start()
        return True

    def _answer(self, channel: paramiko.Channel, command: str) -> None:
        with channel.makefile("rb") as stdin:
            said = self.host.answer(command, stdin.read())
        threading.Timer(said.took_s, _send, (channel, said)).start()


def _send(channel: paramiko.Channel, said: Answer) -> None:
    with channel:
        channel.sendall(said.output)
        channel.sendall_stderr(said.errors)
        channel.send_exit_status(said.status)


@contextmanager
def recorded_hosts(folder: Path, count: int) -> Iterator[Path]:
    """Serve `count` hosts gpu01, gpu02, ... while the context lasts; give their inventory."""
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    for name in ("host_key", "client_key"):
        make_key(folder / name)
    own = paramiko.Ed25519Key.from_private_key_file(str(folder / "host_key"))
    client = (folder / "client_key.pub").read_text().split()[1]
    host = RecordedHost.of(folder)

    def listen(listener: socket.socket) -> None:
        while True:
            try:
                transport = paramiko.Transport(listener.accept()[0])
            except OSError:  # closed: the bench is over
                return
            transport.add_server_key(own)
            transport.start_server(event=threading.Event(), server=Session(host, client))

    with socket.create_server(("127.0.0.1", 0), backlog=count) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=listen, args=(listener,), daemon=True).start()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {own.get_name()} {own.get_base64()}\n")
        yield _inventory(folder, port, count)


def _inventory(folder: Path, port: int, count: int) -> Path:
    """Write an inventory of hosts that differ in home and port, as hosts on one address must."""
    shared = {
        "ansible_host": "127.0.0.1",
        "ansible_port": port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(folder / "client_key"),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={folder / 'known_hosts'}",
        **simulation.named(SIMULATED).keys(),
    }
    hosts = {
        f"gpu{number:02}": {**shared, "fleet_port": 30000 + number, "fleet_home": f"/opt/fleet-{number}"}
        for number in range(1, count + 1)
    }
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    return path
