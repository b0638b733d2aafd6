"""init: a new host in the inventory, its key's fingerprint on the screen."""

import shlex
from dataclasses import dataclass

from devstral_fleet import catalog as catalogs
from devstral_fleet import host_keys, inventory
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode
from devstral_fleet.intent import Connection
from devstral_fleet.workflows.planning import Ask, intents, inventory_path


@dataclass(frozen=True)
class NewHost:
    """What the command line said about the new host."""

    name: str
    address: str
    user: str
    port: int
    accelerator: str
    hardware: str
    gpu_count: int
    model: str


def init(console: Console, new: NewHost, inventory_option: str, *, accept_new_host_key: bool) -> ExitCode:
    """Read the host's key, add the host to the inventory, store the key when that was agreed to.

    Without an address the host is one that the inventory has: only its key is shown, and stored when agreed to.
    """
    if not new.name:
        raise ConfigurationError(
            "a new host needs a name and an address",
            fix=".venv/bin/invoke init --host gpu01 --address ADDRESS",
        )
    ask = Ask(new.name, inventory_option)
    if not new.address:
        show_known(console, ask, accept=accept_new_host_key)
        return ExitCode.OK
    accelerator = accelerator_of(new)
    path = inventory_path(ask)
    inventory.require_new(path, new.name)
    show_key(console, Connection(kind="ssh", address=new.address, port=new.port), accept=accept_new_host_key)
    added = inventory.add_host(
        path,
        new.name,
        address=new.address,
        user=new.user or None,
        port=new.port,
        accelerator=accelerator,
        hardware=new.hardware or None,
        gpu_count=new.gpu_count,
        model=new.model,
    )
    console.say(f"added to {path}:\n{added}")
    if not new.hardware:
        known = ", ".join(gpu.name for gpu in catalogs.load().gpus.values() if gpu.accelerator == accelerator)
        console.say(f"set its fleet_hardware in {path}, one of: {known}")
    console.say(f"next: .venv/bin/invoke plan --host {new.name}")
    return ExitCode.OK


def show_known(console: Console, ask: Ask, *, accept: bool) -> None:
    """Show the key of each SSH host that was named, and store it when that was agreed to."""
    for intent in intents(ask):
        if intent.connection.kind == "local":
            console.host(intent.name, "is this machine: it has no host key to accept")
        else:
            show_key(console, intent.connection, accept=accept)


def show_key(console: Console, at: Connection, *, accept: bool) -> None:
    """Print a host's key as it shows it now; store it in known_hosts, or say how to."""
    key = host_keys.host_key(at.address, at.port)
    console.say(f"{at.address} shows the host key {key.fingerprint}")
    known_hosts = host_keys.known_hosts_of(at)
    if not accept:
        console.say("compare it with what the machine's owner says; if they are equal, and it is new here:")
        console.say(f"  ssh-keyscan -p {at.port} {at.address} >> {shlex.quote(str(known_hosts))}")
    elif host_keys.accept_host_key(key, at):
        console.say(f"it is stored in {known_hosts}")
    else:
        console.say(f"it is known already in {known_hosts}")


def accelerator_of(new: NewHost) -> str:
    """The accelerator of the hardware that was named, else the one that was, else nvidia.

    Raises:
        ConfigurationError: an unknown model or GPU, or one of another accelerator.
    """
    catalog = catalogs.load()
    catalog.model(new.model)
    if not new.hardware:
        return new.accelerator or "nvidia"
    found = catalog.gpu(new.hardware).accelerator
    if new.accelerator not in ("", found):
        raise ConfigurationError(f"{new.hardware} is {found}, not {new.accelerator}", fix="leave --accelerator out")
    return found
