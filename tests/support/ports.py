"""Ports for servers of tests."""

import random
import socket
from pathlib import Path

TRIES = 100


def free_port() -> int:
    """A port of the loopback that nothing listens on, below those that the kernel gives to clients.

    A server that is restarted would otherwise find its port taken by whatever connected somewhere in between.
    """
    first_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.SystemRandom().sample(range(10_000, first_of_clients), TRIES):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"none of {TRIES} ports below {first_of_clients} was free")
