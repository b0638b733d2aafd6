"""init: a new host in the inventory, its key's fingerprint on the screen."""

from dataclasses import dataclass

from devstral_fleet import catalog as catalogs
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
    accelerator = accelerator_of(new)
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
        accelerator=accelerator,
        hardware=new.hardware or None,
        gpu_count=new.gpu_count,
        model=new.model,
    )
    console.say(f"added to {path}:\n{added}")
    if not accept_new_host_key:
        console.say("the key is not accepted yet: compare the fingerprint with what the machine's owner says, then")
        console.say(f"  ssh-keyscan -p {new.port} {new.address} >> ~/.ssh/known_hosts")
    if not new.hardware:
        known = ", ".join(gpu.name for gpu in catalogs.load().gpus.values() if gpu.accelerator == accelerator)
        console.say(f"set its fleet_hardware in {path}, one of: {known}")
    console.say(f"next: .venv/bin/invoke plan --host {new.name}")
    return ExitCode.OK


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
