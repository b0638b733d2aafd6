"""A real OpenSSH server on the loopback, with keys of its own. It serves the user who runs the tests."""

import contextlib
import getpass
import os
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devstral_fleet.intent import Connection
from devstral_fleet.lab.keys import make_key

GONE_S = 10.0
_CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/client_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class SshServer:
    """Where the server listens and what a client needs; `process` is its own, ended by its pid."""

    port: int
    folder: Path
    process: "subprocess.Popen[str]"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def host_key_public(self) -> str:
        return (self.folder / "host_key.pub").read_text()

    def connection(self, **changes: object) -> Connection:
        fields = {
            "kind": "ssh",
            "address": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "private_key_file": str(self.folder / "client_key"),
            "known_hosts_file": str(self.known_hosts),
        }
        return Connection.model_validate(fields | changes)

    def drop_connections(self) -> None:
        """Kill every session of this server, as a broken network would; the server itself goes on.

        A killed session may live a moment longer: it is gone, and with it its connection, when this returns.
        """
        for session in _sessions(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                watched = os.pidfd_open(session)
                signal.pidfd_send_signal(watched, signal.SIGKILL)
                select.select([watched], [], [], GONE_S)
                os.close(watched)


@contextlib.contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Start sshd on a free port; known_hosts holds its key. It is killed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    make_key(folder / "host_key")
    make_key(folder / "client_key")
    server = _started(folder)
    kind, public = server.host_key_public.split()[:2]
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {kind} {public}\n")
    try:
        yield server
    finally:
        server.drop_connections()
        server.process.kill()
        server.process.communicate()


def _sessions(server: int) -> list[int]:
    """The server's own processes below it, those that speak first; not the commands that they run.

    For a user who is not root a session is two processes: one watches, the other speaks.
    """
    below: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().partition(" (")[2].rpartition(") ")
            if name.startswith("sshd"):
                below.setdefault(int(rest.split()[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    last = [server]
    while last := [child for parent in last for child in below.get(parent, [])]:
        found = [*last, *found]
    return found


def _started(folder: Path) -> SshServer:
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    assert program, "sshd is missing: run tests/setup-machine.sh (Debian package openssh-server)"
    for _ in range(5):  # another process may take the free port first
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        (folder / "sshd_config").write_text(_CONFIG.format(port=port, folder=folder))
        words = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            if "Server listening on" in line:
                return SshServer(port, folder, process)
            lines.append(line)
        process.wait()
    raise AssertionError("sshd did not start: " + "".join(lines))
