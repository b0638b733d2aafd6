"""Verbs that change nothing: plan, command; and init, which writes the inventory."""

from typing import TYPE_CHECKING

from devstral_fleet.cli.verb import verb

if TYPE_CHECKING:
    from devstral_fleet.console import Console
    from devstral_fleet.errors import ExitCode


@verb()
def plan(
    console: "Console",
    host: str = "",
    inventory: str = "",
    model: str = "",
    context_length: int = 0,
    tensor_parallel: int = 0,
    json: bool = False,
) -> "ExitCode":
    """Show what a deploy would put on a host, with the memory arithmetic; nothing is contacted."""
    from devstral_fleet.workflows import planning

    return planning.plan(console, planning.Ask(host, inventory, model, context_length, tensor_parallel))


@verb(
    hardware="catalog name of the GPU (docs/catalog.md), or cpu",
    tool_calling="with the tool-call parser",
    style="'recommended' (ours) or 'cookbook' (the cookbook's bare line)",
    format="command, docker, compose, systemd, kubernetes or json",
    gpus="GPUs of the machine (default: as many as the model needs)",
)
def command(
    console: "Console",
    hardware: str = "",
    model: str = "devstral-small-2",
    tool_calling: bool = False,
    style: str = "recommended",
    format: str = "command",
    gpus: int = 0,
    context_length: int = 0,
    tensor_parallel: int = 0,
) -> "ExitCode":
    """Print the launch command for hardware x model x tool calling; no host needed."""
    from devstral_fleet.workflows import command as workflow

    wish = workflow.Wish(hardware, model, tool_calling, style, format, gpus, context_length, tensor_parallel)
    return workflow.command(console, wish)


@verb(
    host="name of the new host in the inventory, or of one that is there, to see or accept its key",
    address="address or DNS name that SSH reaches; left out for a host that is in the inventory",
    user="SSH user (default: yours)",
    port="SSH port",
    accelerator="nvidia, amd or cpu (default: the hardware's, else nvidia)",
    hardware="catalog name of its GPU (docs/catalog.md); without it, to be set in the inventory",
    gpu_count="GPUs in the host",
    accept_new_host_key="store the host's key in known_hosts; look at the fingerprint first",
)
def init(
    console: "Console",
    host: str = "",
    address: str = "",
    user: str = "",
    port: int = 22,
    accelerator: str = "",
    hardware: str = "",
    gpu_count: int = 1,
    model: str = "devstral-small-2",
    inventory: str = "",
    accept_new_host_key: bool = False,
) -> "ExitCode":
    """Add a host to the inventory and show its SSH key's fingerprint."""
    from devstral_fleet.workflows import init as workflow

    new = workflow.NewHost(host, address, user, port, accelerator, hardware, gpu_count, model)
    return workflow.init(console, new, inventory, accept_new_host_key=accept_new_host_key)


TASKS = (plan, command, init)
