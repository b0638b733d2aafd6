"""logs: the newest lines of the engine's log."""

from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode
from devstral_fleet.workflows.host import opened
from devstral_fleet.workflows.planning import Ask, targets


def logs(console: Console, ask: Ask, lines: int) -> ExitCode:
    """Print the newest lines of each host's engine log."""
    tails: dict[str, tuple[str, ...]] = {}
    for target in targets(ask):
        with opened(target, console) as host:
            tails[host.name] = host.log_tail(lines)
        if not console.json:
            for line in tails[target.name]:
                console.text(line)
    console.document(tails)
    return ExitCode.OK
