"""Ports whose connections go through an SSH connection: from this machine to a host, and back."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import paramiko

_CHUNK_BYTES = 65536


@contextmanager
def listening(open_channel: Callable[[], paramiko.Channel]) -> Iterator[int]:
    """Yield a free loopback port; each connection to it gets a channel of its own.

    A channel that cannot be opened closes that one connection and no other, so a forward outlives a restart of what
    it leads to. (Fabric's own forward ends for good at the first refused connection.)
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, open_channel), daemon=True).start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() alone does not


@contextmanager
def backward(transport: paramiko.Transport, local_port: int, on_bytes: Callable[[int], None]) -> Iterator[int]:
    """Yield a port of the other side's loopback whose connections reach `local_port` of this machine's.

    Args:
        on_bytes: called with the number of bytes of each piece that was sent to the other side, from several threads.

    Raises:
        paramiko.SSHException: its SSH server allows no forwarding.
    """

    def serve(channel: paramiko.Channel, _origin: object, _server: object) -> None:
        threading.Thread(target=_answer, args=(channel, local_port, on_bytes), daemon=True).start()

    port = transport.request_port_forward("127.0.0.1", 0, serve)
    try:
        yield int(port)
    finally:
        with suppress(paramiko.SSHException, OSError):
            transport.cancel_port_forward("127.0.0.1", port)


def _answer(channel: paramiko.Channel, local_port: int, on_bytes: Callable[[int], None]) -> None:
    with channel, suppress(OSError), socket.create_connection(("127.0.0.1", local_port)) as server:
        back = threading.Thread(target=_copy, args=(channel, server), daemon=True)
        back.start()
        _copy(server, channel, on_bytes)
        back.join()


def _accept(listener: socket.socket, open_channel: Callable[[], paramiko.Channel]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_join, args=(client, open_channel), daemon=True).start()


def _join(client: socket.socket, open_channel: Callable[[], paramiko.Channel]) -> None:
    with client:
        try:
            channel = open_channel()
        except Exception:  # any reason: the client sees a closed connection, as it would without a forward
            return
        with channel:
            back = threading.Thread(target=_copy, args=(channel, client), daemon=True)
            back.start()
            _copy(client, channel)
            back.join()


def _copy(
    source: socket.socket | paramiko.Channel,
    target: socket.socket | paramiko.Channel,
    on_bytes: Callable[[int], None] = lambda _count: None,
) -> None:
    """Copy until the source ends, then tell the target so; the other direction may still carry the answer."""
    with suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            target.sendall(data)
            on_bytes(len(data))
    with suppress(OSError):
        if isinstance(target, paramiko.Channel):
            target.shutdown_write()
        else:
            target.shutdown(socket.SHUT_WR)
