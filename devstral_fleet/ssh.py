"""Commands on a host over SSH (fabric), and what a host says its key is. Unknown and changed keys are refused."""

import base64
import hashlib
import os
import select
import shlex
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import fabric
import paramiko

from devstral_fleet.errors import UnreachableError
from devstral_fleet.forward import listening
from devstral_fleet.intent import Connection
from devstral_fleet.shell import (
    TIMED_OUT,
    CommandResult,
    become,
    environment_line,
    refuse_sudo_password,
    with_environment,
)
from devstral_fleet.words import ssh

CONNECT_TIMEOUT_S = 15
KEEPALIVE_S = 10
GRACE_S = 10.0
"""How long after a command's own time-out the host may take to say that it killed it."""
LOST_S = 1.0
"""How long a transport may take to say that it is lost: it closes its channels first."""
SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")
_CHUNK_BYTES = 65536
_CONNECTION_LOST = (paramiko.SSHException, EOFError, ConnectionError)


@dataclass(frozen=True)
class HostKey:
    """The public key a server showed. `kind` is its SSH name; `public` its base64 text, as in known_hosts."""

    kind: str
    public: str

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen prints it: 'SHA256:…' without padding."""
        digest = hashlib.sha256(base64.b64decode(self.public)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class FabricShell:
    """One host's shell over SSH. It connects at the first command, and once more when the connection was lost."""

    def __init__(self, host: str, connection: Connection) -> None:
        self._host = host
        self._at = connection
        self._fabric: fabric.Connection | None = None
        self._opening = threading.RLock()  # a forward opens channels from threads of its own

    @property
    def host(self) -> str:
        return self._host

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> CommandResult:
        """Run one command; when the time is up the host itself kills it, so nothing is left running there."""
        words = with_environment(["timeout", "-k", "2", f"{timeout_s:g}", *argv], environment)
        sudo = self._at.become and self._user() != "root"
        began = time.monotonic()
        text = (environment_line(environment) + stdin).encode()
        try:
            result = _run(self._session(), become(words) if sudo else words, text, began + timeout_s + GRACE_S)
        except (*_CONNECTION_LOST, OSError) as error:
            self._refuse(error)
        if sudo:
            refuse_sudo_password(self._host, result)
        timed_out = result.exit_status in (124, 137) and time.monotonic() - began >= timeout_s
        status = TIMED_OUT if timed_out else result.exit_status
        return CommandResult(tuple(argv), status, result.stdout, result.stderr)

    @contextmanager
    def forward(self, remote_port: int, remote_address: str = "127.0.0.1") -> Iterator[int]:
        """Yield a free port of this machine's loopback that reaches the host's port."""
        self._session().close()  # a host that cannot be reached is said now, not at the first request

        def channel() -> paramiko.Channel:
            return _tunnel(self._open(), remote_address, remote_port)

        with listening(channel) as local_port:
            yield local_port

    def close(self) -> None:
        if self._fabric is not None:
            self._fabric.close()
            self._fabric = None

    def _session(self) -> paramiko.Channel:
        """Open a channel; where the connection turns out to be lost, once more on a new one."""
        try:
            return _opened_channel(self._open())
        except _CONNECTION_LOST:
            self.close()
        return _opened_channel(self._open())

    def _open(self) -> fabric.Connection:
        """The open connection; one that was lost is opened again."""
        with self._opening:
            if self._fabric is not None and not self._fabric.is_connected:
                self.close()
            if self._fabric is None:
                connection = _fabric_connection(self._at)
                try:
                    connection.open()
                except (paramiko.SSHException, OSError, EOFError) as error:
                    connection.client.close()
                    self._refuse(error)
                connection.transport.set_keepalive(KEEPALIVE_S)
                self._fabric = connection
            return self._fabric

    def _user(self) -> str:
        return str(self._open().user)

    def _refuse(self, error: BaseException) -> NoReturn:
        self.close()
        raise unreachable(self._host, self._at, error) from error


def unreachable(host: str, at: Connection, error: BaseException) -> UnreachableError:
    """Say in one sentence, with its fix, why the host cannot be used."""
    where = f"{at.address}:{at.port}"
    match error:
        case UnreachableError():
            return error
        case paramiko.BadHostKeyException():
            expected, got = _fingerprint_of(error.expected_key), _fingerprint_of(error.key)
            message = f"{host}: the host key of {where} has changed: known is {expected}, it shows {got}"
            fix = (
                "a changed key is never accepted; if the host was reinstalled, compare the fingerprint on its console, "
                f"then remove the old one: ssh-keygen -R '{_known_name(at.address, at.port)}'"
            )
        case paramiko.AuthenticationException():
            message = f"{host}: {where} refuses the login{f' of {at.user}' if at.user else ''}: {_words(error)}"
            fix = "set ansible_user and ansible_ssh_private_key_file in the inventory, or load the key: ssh-add"
        case paramiko.SSHException() if "not found in known_hosts" in str(error):
            message = f"{host}: the host key of {where} is not known"
            fix = f".venv/bin/invoke init --host {host} shows its fingerprint; with --accept-new-host-key it is stored"
        case TimeoutError() | paramiko.ssh_exception.NoValidConnectionsError() | ConnectionRefusedError():
            message = f"{host}: {where} does not answer: {_words(error)}"
            fix = "check ansible_host and ansible_port, that the host is up, and that sshd runs there"
        case socket.gaierror():
            message = f"{host}: the name '{at.address}' is not known to DNS"
            fix = "set ansible_host to an address that resolves"
        case FileNotFoundError():
            message = f"{host}: the key file {error.filename} does not exist"
            fix = "correct ansible_ssh_private_key_file in the inventory"
        case _:
            message = f"{host}: the connection to {where} failed: {_words(error)}"
            fix = f"try it by hand: {ssh(at, 'true')}"
    return UnreachableError(message, fix=fix, host=host)


def host_key(address: str, port: int = 22, *, timeout_s: float = CONNECT_TIMEOUT_S) -> HostKey:
    """Ask the server which key it has. Nothing is accepted or stored.

    Raises:
        UnreachableError: nothing answers there as SSH does.
    """
    try:
        with socket.create_connection((address, port), timeout=timeout_s) as connection:
            transport = paramiko.Transport(connection)
            try:
                transport.start_client(timeout=timeout_s)
                key = transport.get_remote_server_key()
            finally:
                transport.close()
    except (paramiko.SSHException, OSError, EOFError) as error:
        at = Connection(kind="ssh", address=address, port=port)
        raise unreachable(address, at, error) from error
    return HostKey(key.get_name(), key.get_base64())


def accept_host_key(key: HostKey, at: Connection) -> bool:
    """Append the key to the connection's known_hosts. False: it was there already.

    Call it only when the operator said so. Raises UnreachableError where another key of the same kind is known.
    """
    path, name = known_hosts_of(at), _known_name(at.address, at.port)
    known = _load_known_hosts(path).lookup(name)
    if known is not None and key.kind in known:
        if known[key.kind].get_base64() == key.public:
            return False
        expected = HostKey(key.kind, known[key.kind].get_base64()).fingerprint
        raise UnreachableError(
            f"the host key of {name} has changed: known is {expected}, it shows {key.fingerprint}",
            fix=f"a changed key is never accepted; if the host was reinstalled: ssh-keygen -R '{name}' -f {path}",
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        text = file.read()
        line_break = b"\n" if text and not text.endswith(b"\n") else b""
        file.write(line_break + f"{name} {key.kind} {key.public}\n".encode())
    return True


def known_hosts_of(at: Connection) -> Path:
    """The connection's known_hosts, else the user's own, which `ssh` and Ansible read too."""
    return Path(at.known_hosts_file or "~/.ssh/known_hosts").expanduser()


def _fabric_connection(at: Connection) -> fabric.Connection:
    options: dict[str, object] = {}
    if at.private_key_file:
        options = {"key_filename": str(Path(at.private_key_file).expanduser()), "look_for_keys": False}
    connection = fabric.Connection(
        at.address, user=at.user, port=at.port, connect_timeout=CONNECT_TIMEOUT_S, connect_kwargs=options
    )
    client = connection.client
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    for path in (SYSTEM_KNOWN_HOSTS, known_hosts_of(at)):
        if path.exists():
            client.load_system_host_keys(str(path))
    return connection


def _opened_channel(connection: fabric.Connection) -> paramiko.Channel:
    channel: paramiko.Channel = connection.transport.open_session(timeout=CONNECT_TIMEOUT_S)
    return channel


def _tunnel(connection: fabric.Connection, address: str, port: int) -> paramiko.Channel:
    """Open a channel that ends at `address`:`port` as the host sees it."""
    channel: paramiko.Channel = connection.transport.open_channel(
        "direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=CONNECT_TIMEOUT_S
    )
    return channel


def _run(channel: paramiko.Channel, words: Sequence[str], text: bytes, deadline: float) -> CommandResult:
    """Run `words` on an open channel; read both outputs until the command has ended. Deadline: time.monotonic()."""
    with channel:
        channel.settimeout(max(1.0, deadline - time.monotonic()))
        channel.exec_command(shlex.join(words))
        with suppress(OSError):  # a command may end without reading its input
            channel.sendall(text)
            channel.shutdown_write()
        output, errors = bytearray(), bytearray()
        while not _drained(channel, output, errors):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("a command did not end and the host did not kill it")
            select.select([channel], [], [], min(left_s, 1.0))
        status = channel.recv_exit_status()
    if status == -1:  # no exit status came
        transport = channel.get_transport()
        transport.join(LOST_S)
        if not transport.is_active():
            raise ConnectionResetError("the connection was lost while a command ran")
    return CommandResult(tuple(words), status, output.decode(errors="replace"), errors.decode(errors="replace"))


def _drained(channel: paramiko.Channel, output: bytearray, errors: bytearray) -> bool:
    """Move what has arrived to the buffers; True when the command has ended and nothing more can come."""
    ended = channel.closed or (channel.exit_status_ready() and bool(channel.eof_received))
    while channel.recv_ready():
        output += channel.recv(_CHUNK_BYTES)
    while channel.recv_stderr_ready():
        errors += channel.recv_stderr(_CHUNK_BYTES)
    return ended


def _load_known_hosts(path: Path) -> paramiko.HostKeys:
    return paramiko.HostKeys(str(path)) if path.exists() else paramiko.HostKeys()


def _known_name(address: str, port: int) -> str:
    return address if port == 22 else f"[{address}]:{port}"


def _fingerprint_of(key: paramiko.PKey) -> str:
    return HostKey(key.get_name(), key.get_base64()).fingerprint


def _words(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__
