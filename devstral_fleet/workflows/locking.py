"""lock.status and lock.release: the deploy lock of a host, by hand."""

from devstral_fleet import lock
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode
from devstral_fleet.workflows.host import opened
from devstral_fleet.workflows.planning import Ask, targets


def status(console: Console, ask: Ask) -> ExitCode:
    """Show who holds each host's lock."""
    owners: dict[str, object] = {}
    for target in targets(ask):
        with opened(target, console) as host:
            owner = lock.status(host.shell, host.layout)
        owners[target.name] = owner.model_dump(mode="json") if owner else None
        console.host(target.name, sentence(owner) if owner else "not locked")
    console.document(owners)
    return ExitCode.OK


def release(console: Console, ask: Ask, *, yes: bool) -> ExitCode:
    """Break each host's lock; a lock whose owner still beats needs --yes."""
    for target in targets(ask):
        with opened(target, console) as host:
            owner = lock.status(host.shell, host.layout)
            if owner and not owner.stale and not yes:
                raise ConfigurationError(
                    f"{host.name}: {sentence(owner)}, and is still at work",
                    fix=f"wait for it, or break its lock: .venv/bin/invoke lock.release --host {host.name} --yes",
                )
            broken = lock.release(host.shell, host.layout)
            console.host(host.name, f"lock released ({sentence(broken)})" if broken else "was not locked")
    return ExitCode.OK


def sentence(owner: lock.LockOwner) -> str:
    """Who holds the lock, since when and why."""
    return f"locked by {owner.who} since {owner.since}: {owner.message} (run {owner.run})"
