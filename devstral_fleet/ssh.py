"""Commands on a host over SSH (fabric). Unknown and changed keys are refused."""

import logging
import select
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import fabric
import paramiko

from devstral_fleet.forward import backward, listening
from devstral_fleet.host_keys import CONNECT_TIMEOUT_S, known_hosts_of, unreachable
from devstral_fleet.intent import Connection
from devstral_fleet.shell import (
    TIMED_OUT,
    CommandResult,
    become,
    environment_line,
    refuse_sudo_password,
    with_environment,
)

KEEPALIVE_S = 10
GRACE_S = 10.0
"""How long after a command's own time-out the host may take to say that it killed it."""
LOST_S = 1.0
"""How long a transport may take to say that it is lost: it closes its channels first."""
SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")
_CHUNK_BYTES = 65536
_CONNECTION_LOST = (paramiko.SSHException, EOFError, ConnectionError)

# What paramiko cannot do it raises too; its log of it, with a traceback, would come in between on standard error.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


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

    @contextmanager
    def backward(self, local_port: int, on_bytes: Callable[[int], None]) -> Iterator[int]:
        """Yield a port of the host's loopback that reaches this machine's port; `on_bytes` hears what was sent."""
        self._session().close()
        transport = self._open().transport
        try:
            with backward(transport, local_port, on_bytes) as port:
                yield port
        except paramiko.SSHException as error:
            self._refuse(error)

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
