"""Verb of models: models."""

from typing import TYPE_CHECKING

from devstral_fleet.cli.verb import verb

if TYPE_CHECKING:
    from devstral_fleet.console import Console
    from devstral_fleet.errors import ExitCode


@verb(
    pin="ask the hub which commit and files each repository has now, and keep its answers beside the inventory",
    verify="read every file again and compare it with what was pinned; nothing is brought",
    prune="remove models that neither a release on the host nor its plan uses",
    lock_wait="seconds to wait for a deploy that runs there (--prune)",
)
def models(
    console: "Console",
    host: str = "",
    inventory: str = "",
    model: str = "",
    pin: bool = False,
    verify: bool = False,
    prune: bool = False,
    lock_wait: int = 0,
    check: bool = False,
    json: bool = False,
) -> "ExitCode":
    """Bring a model's files to hosts, each checked, without touching what serves; or pin, verify or prune them."""
    from devstral_fleet.workflows import models as workflow
    from devstral_fleet.workflows.planning import Ask

    wish = workflow.Wish(pin, verify, prune, check, lock_wait)
    return workflow.models(console, Ask(host, inventory, model), wish)


TASKS = (models,)
