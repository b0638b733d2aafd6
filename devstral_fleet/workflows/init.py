"""init: a new host in the inventory, its key's fingerprint on the screen."""

from dataclasses import dataclass

from devstral_fleet import inventory, ssh
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode
from devstral_fleet.workflows.planning import Ask, inventory_path


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
    """Read the host's key, add the host to the inventory, store the key when that was agreed to."""
    if not (new.name and new.address):
        raise ConfigurationError(
            "a new host needs a name and an address",
            fix=".venv/bin/invoke init --host gpu01 --address ADDRESS",
        )
    path = inventory_path(Ask(new.name, inventory_option))
    key = ssh.host_key(new.address, new.port)
    console.say(f"{new.address} shows the host key {key.fingerprint}")
    if accept_new_host_key:
        ssh.accept_host_key(key, new.address, new.port)
        console.say("it is stored in known_hosts")
    added = inventory.add_host(
        path,
        new.name,
        address=new.address,
        user=new.user or None,
        port=new.port,
        accelerator=new.accelerator,
        hardware=new.hardware,
        gpu_count=new.gpu_count,
        model=new.model,
    )
    console.say(f"added to {path}:\n{added}")
    if not accept_new_host_key:
        console.say("the key is not accepted yet: compare the fingerprint with what the machine's owner says, then")
        console.say(f"  ssh-keyscan -p {new.port} {new.address} >> ~/.ssh/known_hosts")
    console.say(f"next: .venv/bin/invoke plan --host {new.name}")
    return ExitCode.OK
