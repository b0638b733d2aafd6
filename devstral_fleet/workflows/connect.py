"""connect: the way to an endpoint that listens on its host's loopback."""

import threading

from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode
from devstral_fleet.workflows import endpoint
from devstral_fleet.workflows.host import opened
from devstral_fleet.workflows.planning import Ask, targets


def connect(console: Console, ask: Ask, *, once: bool) -> ExitCode:
    """Hold a forward to one host's endpoint until Ctrl-C, and print what a client needs."""
    found = targets(ask)
    if len(found) != 1:
        raise ConfigurationError(f"connect takes one host, {len(found)} were named", fix="name one with --host")
    with opened(found[0], console) as host:
        host.require_serving()
        with host.reached() as base_url:
            client = endpoint.client(host, base_url)
            for line in client.lines():
                console.say(line)
            console.document(client.document())
            if not once:
                console.say("connected until Ctrl-C")
                threading.Event().wait()
    return ExitCode.OK
