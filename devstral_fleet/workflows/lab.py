"""lab.up, lab.down: hosts to deploy to, made of containers on this machine."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from docker.errors import DockerException

from devstral_fleet import lab as labs
from devstral_fleet import project
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, DependencyError, ExitCode
from devstral_fleet.lab import Lab, LabHost, image, inventory, simulation

IMAGE_CACHE = project.CACHE / "hosts"


def up(console: Console, count: int, simulate: str = "") -> ExitCode:
    """Have at least `count` hosts, write their inventory, say what comes next. What is there already stays.

    `simulate`: GPU hosts beside them, a comma list; their probes answer with recordings.
    """
    if count < 1:
        raise ConfigurationError(f"--hosts is {count}; a lab has at least one", fix=".venv/bin/invoke lab.up --hosts 1")
    lab, simulations = Lab(project.lab()), {each.host: each for each in simulation.parse(simulate)}
    names = (*labs.host_names(count), *simulations)
    with _engine_words():
        client = labs.connect()
        with console.phase("lab", "image"):
            name = image.ensure(client, IMAGE_CACHE)
            image.ensure(client, IMAGE_CACHE, image.ENGINE_BASE)
        with console.phase("lab", "boot"):
            hosts, started = labs.ensure(client, lab, names, name, simulations)
    inventory.write(lab.inventory, tuple(hosts.values()))
    _say(console, lab, hosts, started)
    return ExitCode.OK


def down(console: Console, *, keep_image: bool) -> ExitCode:
    """Leave nothing of this lab; the image stays where that is asked for, or where another lab's hosts use it."""
    lab = Lab(project.lab())
    with _engine_words():
        client = labs.connect()
        removed = labs.remove(client, lab)
        if not keep_image:
            image.remove(client, IMAGE_CACHE, image.ENGINE_BASE)
            if not image.remove(client, IMAGE_CACHE):
                console.say(f"the image {image.HOST.reference} stays: another lab's hosts are made of it")
    lab.remove_files()
    console.say(f"removed: {', '.join(removed) or 'no host, there was none'}; nothing is left in {lab.directory}")
    console.document({"removed": list(removed)})
    return ExitCode.OK


def _say(console: Console, lab: Lab, hosts: Mapping[str, LabHost], started: tuple[str, ...]) -> None:
    rows = [
        (name, f"{host.address}:{host.port}", "new" if name in started else "was up") for name, host in hosts.items()
    ]
    simulated = {name: host.simulated for name, host in hosts.items() if host.simulated}
    look = [("simulated", f".venv/bin/invoke doctor --inventory {lab.inventory} --host {inventory.SIMULATED_GROUP}")]
    console.table(("host", "ssh", ""), rows)
    console.pairs(
        [
            ("inventory", str(lab.inventory)),
            ("next", _deploy(lab)),
            *(look if simulated else ()),
            ("end", ".venv/bin/invoke lab.down"),
        ]
    )
    console.document(
        {
            "inventory": str(lab.inventory),
            "hosts": {name: {"address": host.address, "port": host.port} for name, host in hosts.items()},
            "started": list(started),
            "simulated": simulated,
        }
    )


def _deploy(lab: Lab) -> str:
    return f".venv/bin/invoke deploy --inventory {lab.inventory} --host lab"


@contextmanager
def _engine_words() -> Iterator[None]:
    """Say what the Docker engine refused as this machine's error; two lab verbs at once end so too."""
    try:
        yield
    except DockerException as error:
        raise DependencyError(
            "the Docker engine of this machine refused a part of the lab",
            fix=".venv/bin/invoke lab.down, then lab.up again; one lab verb at a time",
            evidence=str(error).splitlines(),
        ) from error
