"""The lab's hosts as tests use them: looked into as root, rebooted, cut from power and network."""

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docker.client import DockerClient

from devstral_fleet import lab as labs
from devstral_fleet.lab import Lab, LabHost, image, inventory, keys
from devstral_fleet.lab.host import SshHost
from tests.support.docker_engine import docker_engine
from tests.support.fleet import ROOT, until

CACHE = ROOT / ".cache" / "hosts"
STOP_S = 60
REACHED_S = 60.0


def as_root(host: SshHost, *words: str) -> str:
    """Return what a command prints that root runs on the host, by plain ssh and sudo; it must succeed."""
    done = host.ssh("sudo", shlex.join(words))
    assert done.returncode == 0, f"{host.name}: {words}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


class HostContainer(LabHost):
    """A running host of the lab."""

    def root(self, *words: str) -> str:
        """Return what a command prints that root runs on the host; it must succeed."""
        return as_root(self, *words)

    def drop_connections(self) -> None:
        """Kill every SSH session, as a broken network would."""
        self.aside("pkill", "-KILL", "-f", f"^sshd: {image.USER}")

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Have no network for the context, as with a pulled cable: nobody is told. It ends when ssh is let in again."""
        self.aside("ip", "link", "set", "eth0", "down")
        try:
            yield
        finally:
            self.aside("ip", "link", "set", "eth0", "up")
            until(lambda: self.ssh("true").returncode == 0, REACHED_S, f"{self.name} is reached again")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stand still for the context, as a host that swaps or a virtual machine that is moved."""
        self.container.pause()
        try:
            yield
        finally:
            self.container.unpause()

    @contextmanager
    def without_sessions(self) -> Iterator[None]:
        """Lose every SSH session once; new ones are let in."""
        self.drop_connections()
        yield

    @contextmanager
    def without_engine(self) -> Iterator[None]:
        """Lose the Docker engine once; systemd starts it again."""
        self.aside("pkill", "-KILL", "dockerd")
        yield

    def aside(self, *words: str) -> None:
        """Run a command by the Docker engine, where ssh is the subject. Its output may be lost and is not used."""
        status, _ = self.container.exec_run(list(words))
        assert status == 0, f"{self.name}: {words} ended with {status}"

    def put_tree(self, source: Path, destination: str, *names: str) -> None:
        """Copy folders and files of `source` to a folder of the host, as root's."""
        words = ["tar", "--create", "--owner=0", "--group=0", "--directory", str(source), *names]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as packed:
            self.container.put_archive(destination, packed.stdout)
        assert packed.returncode == 0, words

    def load_image(self, root: Path, reference: str) -> None:
        """Make an image of a root's tar in the host's own Docker engine."""
        with root.open("rb") as file:
            sent = subprocess.run(
                self.ssh_argv("sudo", "docker", "import", "-", reference), stdin=file, capture_output=True, text=True
            )
        assert sent.returncode == 0, f"{self.name}: docker import: {sent.stderr}"

    def reboot(self) -> None:
        """Shut down in order, start again, wait until it lets users in."""
        self.container.restart(timeout=STOP_S)
        self.wait()

    def cut_power(self) -> None:
        """Kill every process at once, start again, wait until it lets users in."""
        self.container.kill()
        self.container.start()
        self.wait()

    def change_host_key(self) -> None:
        """Give the host another key, as a reinstalled one has; known_hosts keeps the old one."""
        keys.make_key(self.folder / keys.HOST)
        self.put(keys.host_key_files(self.folder))
        self.aside("systemctl", "restart", "ssh")

    def trust(self) -> None:
        """Write known_hosts anew, with the key that the host has now."""
        keys.trust(self.folder, self.address, self.port)


class HostLab:
    """A lab of the tests' own. Hosts are made when they are first asked for, and shared by all who ask."""

    def __init__(self, client: DockerClient, directory: Path) -> None:
        self.client = client
        self.place = Lab(directory)

    def host(self, name: str, root: image.Root = image.HOST) -> HostContainer:
        """The host of that name."""
        return self._named((name,), root)[0]

    def hosts(self, count: int) -> tuple[HostContainer, ...]:
        """The lab's first `count` hosts: lab01, lab02, ..."""
        return self._named(labs.host_names(count), image.HOST)

    @property
    def inventory(self) -> Path:
        """What `lab.up` would write of all hosts that were made so far."""
        inventory.write(self.place.inventory, tuple(labs.present(self.client, self.place).values()))
        return self.place.inventory

    def _named(self, names: tuple[str, ...], root: image.Root) -> tuple[HostContainer, ...]:
        found, _ = labs.ensure(self.client, self.place, names, image.ensure(self.client, CACHE, root))
        return tuple(HostContainer(**vars(found[name])) for name in names)


@contextmanager
def host_lab(directory: Path) -> Iterator[HostLab]:
    """Give a lab in this machine's Docker engine; its hosts are removed at the end, with all that was on them."""
    with docker_engine(CACHE) as client:
        here = HostLab(client, directory)
        try:
            yield here
        finally:
            labs.remove(client, here.place)
