"""logs: the newest lines of the engine's log."""

from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode
from devstral_fleet.workflows.host import Host, each
from devstral_fleet.workflows.planning import Ask, targets


def logs(console: Console, ask: Ask, lines: int) -> ExitCode:
    """Print the newest lines of each host's engine log."""
    tails: dict[str, tuple[str, ...]] = {}

    def show(host: Host) -> None:
        tails[host.name] = host.log_tail(lines)
        if not console.json:
            for line in tails[host.name]:
                console.text(line)

    code = each(targets(ask), console, show)
    console.document(tails)
    return code
