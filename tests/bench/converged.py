"""A host of the lab that is as `provision` leaves it, and the same checks there by Ansible alone and by pyinfra."""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstral_fleet import catalog as catalogs
from devstral_fleet.lab import image
from devstral_fleet.playbook_events import Reader, TaskFinished
from tests.bench.by_hand import command
from tests.support.fleet import Site, succeeded
from tests.support.host_container import HostContainer, host_lab
from tests.support.package_site import repository_of
from tests.support.systemd_host import HOME, PORT
from tests.support.tree import program

MISSING = ("pciutils", "python3-venv", "logrotate")
"""Packages that the lab's hosts have not."""
PYINFRA = "pyinfra==3.10.0"


@dataclass(frozen=True)
class ConvergedHost:
    """The host, the site that has it, and a folder for what others are told of it."""

    host: HostContainer
    site: Site
    folder: Path

    def provision(self) -> None:
        """Let `provision` find that nothing is missing."""
        succeeded(self.site.invoke("provision"))
        outcome = self.site.report()["hosts"][0]["outcome"]
        if outcome != "unchanged":
            raise SystemExit(f"provision was to change nothing, and its outcome is {outcome}")

    def tasks(self) -> list[bool]:
        """Of each task of the last `provision`, whether it ran or was left out."""
        (log,) = max(self.site.runs.iterdir()).glob("*-provision.yml.jsonl")
        events = [event for line in log.read_text().splitlines() for event in Reader().read(line)]
        return [event.state != "skipped" for event in events if isinstance(event, TaskFinished)]

    def nothing(self) -> list[str]:
        """Words of an Ansible run of as many tasks, which do nothing."""
        tasks = [{"ansible.builtin.ping": {}, **({} if ran else {"when": False})} for ran in self.tasks()]
        playbook = self.folder / "nothing.yml"
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        return [program("ansible-playbook"), "--inventory", str(self.site.inventory), str(playbook)]

    def pyinfra(self) -> list[str]:
        """Words of a pyinfra run that looks at the same packages and at Docker; it is installed for that."""
        environment = self.folder / "pyinfra"
        command(sys.executable, "-m", "venv", environment)
        command(environment / "bin" / "pip", "install", "--quiet", PYINFRA)
        provisioning = catalogs.load().provisioning
        names = [*provisioning.packages["debian"], *provisioning.systems["debian-12"].docker]
        data = {
            "ssh_hostname": self.host.address,
            "ssh_port": self.host.port,
            "ssh_user": self.site.connection["ansible_user"],
            "ssh_key": self.site.connection["ansible_ssh_private_key_file"],
            "ssh_known_hosts_file": str(self.host.known_hosts),
            "ssh_strict_host_key_checking": "yes",
        }
        (self.folder / "inventory.py").write_text(f"hosts = [('{self.host.name}', {data!r})]\n")
        (self.folder / "deploy.py").write_text(
            "from pyinfra.operations import apt, systemd\n\n"
            f"apt.packages(packages={names!r}, _sudo=True)\n"
            "systemd.service('docker', running=True, enabled=True, _sudo=True)\n"
        )
        words = ("-y", str(self.folder / "inventory.py"), str(self.folder / "deploy.py"))
        return [str(environment / "bin" / "pyinfra"), *words]


@contextmanager
def converged_host() -> Iterator[ConvergedHost]:
    """Give a host of a lab of its own, provisioned once."""
    with tempfile.TemporaryDirectory(prefix="fleet-speed-") as name, host_lab(Path(name) / "lab") as lab:
        (host,) = lab.hosts(1)
        site = Site(Path(name) / "site", HOME, PORT, host=host.name, connection=host.connection())
        with repository_of(host, image.SUITE, MISSING, Path(name)):
            succeeded(site.set(runtime="container").invoke("provision"))
            yield ConvergedHost(host, site, Path(name))
