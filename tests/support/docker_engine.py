"""A Docker engine for tests: the machine's own where one answers, else one that is started here and ended again.

Ours keeps its images under .cache, so that the next run finds them. It changes no packet filter: the containers' ports
are carried by Docker's own proxy. It has a bridge of its own: one that was killed leaves its bridge, and network
namespaces that still answer at their addresses. Needs root and Debian's package docker.io; without it the test fails.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_network
from pathlib import Path

import pytest
from docker.client import DockerClient, from_env
from docker.errors import DockerException

from tests.support.fleet import until

FOLDERS = Path("/run")
PREFIX = "fleet-engine-"
NETWORKS = ip_network("10.213.0.0/16")
START_S = 60.0
STOP_S = 30.0
INSTALL = "run `sudo tests/setup-machine.sh` (Debian package docker.io)"


@contextmanager
def docker_engine(cache: Path) -> Iterator[DockerClient]:
    """Give a client of a running engine; `cache` holds the data of one that has to be started."""
    with suppress(DockerException):
        client = from_env()
        client.ping()
        yield client
        return
    with _started(cache / "docker") as socket, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{socket}")  # the verbs that tests call find it too
        yield from_env()


@contextmanager
def _started(data: Path) -> Iterator[Path]:
    program = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, f"dockerd is missing: {INSTALL}"
    assert os.geteuid() == 0, "starting a Docker engine needs root: sudo make test"
    for left in FOLDERS.glob(f"{PREFIX}*"):
        _clear(left)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=FOLDERS))
    with _bridge() as name, (folder / "log").open("w") as log:
        words = [*_words(program, folder, data), f"--bridge={name}"]
        process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(process, folder)
            yield folder / "socket"
        finally:
            process.terminate()
            process.wait(STOP_S)
            _clear(folder)


def _clear(folder: Path) -> None:
    """Remove what an engine left: network namespaces are mounts, and live as long as those."""
    with suppress(OSError):
        if Path("/proc", (folder / "pid").read_text().strip(), "comm").read_text().strip() == "dockerd":
            return  # another checkout's
    for mount in sorted(folder.glob("run/netns/*")):
        subprocess.run(["umount", str(mount)], capture_output=True)  # those of ended containers are none
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _bridge() -> Iterator[str]:
    """A bridge with a network that this machine has no route to yet; it is removed in the end."""
    devices = {path.name for path in Path("/sys/class/net").iterdir()}
    routes = subprocess.run(["ip", "-4", "-o", "route"], check=True, capture_output=True, text=True).stdout
    named = ((f"fleet{net[0].packed[2]}", net) for net in NETWORKS.subnets(new_prefix=24))
    name, network = next((name, net) for name, net in named if name not in devices and str(net) not in routes)
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", f"{network[1]}/24", "dev", name], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


def _words(program: str, folder: Path, data: Path) -> list[str]:
    places = {"host": f"unix://{folder}/socket", "pidfile": folder / "pid", "exec-root": folder / "run"}
    options = [f"--{name}={value}" for name, value in {**places, "data-root": data}.items()]
    return [program, *options, "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]


def _wait(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    client = DockerClient(base_url=f"unix://{folder}/socket", version="1.41")

    def answers() -> bool:
        log = (folder / "log").read_text().splitlines()[-15:]
        assert process.poll() is None, "dockerd ended at once:\n" + "\n".join(log)
        with suppress(DockerException, OSError):
            return bool(client.ping())
        return False

    until(answers, START_S, f"dockerd answers; its log is {folder}/log")
