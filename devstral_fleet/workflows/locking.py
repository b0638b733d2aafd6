"""lock.status and lock.release: the deploy lock of a host, by hand."""

from devstral_fleet import lock
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode, FleetError, worst
from devstral_fleet.workflows.host import Host, each, survey
from devstral_fleet.workflows.planning import Ask, targets


def status(console: Console, ask: Ask) -> ExitCode:
    """Show who holds each host's lock."""
    owners: dict[str, object] = {}
    codes: list[ExitCode] = []
    for target, owner in survey(targets(ask), console, lambda host: lock.status(host.shell, host.layout)):
        if isinstance(owner, FleetError):
            console.error(owner)
            codes.append(owner.code)
            continue
        owners[target.name] = owner.model_dump(mode="json") if owner else None
        console.host(target.name, sentence(owner) if owner else "not locked")
    console.document(owners)
    return worst(codes)


def release(console: Console, ask: Ask, *, yes: bool) -> ExitCode:
    """Break each host's lock; a lock whose owner still beats needs --yes."""
    released: dict[str, object] = {}

    def give_back(host: Host) -> None:
        owner = lock.status(host.shell, host.layout)
        if owner and not owner.stale and not yes:
            raise ConfigurationError(
                f"{host.name}: {sentence(owner)}, and is still at work",
                fix=f"wait for it, or break its lock: .venv/bin/invoke lock.release --host {host.name} --yes",
                host=host.name,
            )
        broken = lock.release(host.shell, host.layout)
        released[host.name] = broken.model_dump(mode="json") if broken else None
        console.host(host.name, f"lock released ({sentence(broken)})" if broken else "was not locked")

    code = each(targets(ask), console, give_back)
    console.document(released)
    return code


def sentence(owner: lock.LockOwner) -> str:
    """Who holds the lock, since when and why."""
    return f"locked by {owner.who} since {owner.since}: {owner.message} (run {owner.run})"
