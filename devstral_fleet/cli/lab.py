"""The lab's verbs: lab.up, lab.down."""

from typing import TYPE_CHECKING

from devstral_fleet.cli.verb import verb

if TYPE_CHECKING:
    from devstral_fleet.console import Console
    from devstral_fleet.errors import ExitCode


@verb(
    hosts="hosts that the lab has at least",
    simulate="GPU hosts beside them whose probes answer with recordings: a comma list of GPUs, xN for N of one",
)
def up(console: "Console", hosts: int = 1, simulate: str = "", json: bool = False) -> "ExitCode":
    """Make hosts to deploy to: containers of this machine with systemd, sshd and a Docker engine each."""
    from devstral_fleet.workflows import lab as workflow

    return workflow.up(console, hosts, simulate)


@verb(keep_image="keep the lab's images, which take a minute to make")
def down(console: "Console", keep_image: bool = False, json: bool = False) -> "ExitCode":
    """Remove the lab: its hosts with all that is on them, its keys and inventory, its images."""
    from devstral_fleet.workflows import lab as workflow

    return workflow.down(console, keep_image=keep_image)


TASKS = (up, down)
