"""A Docker engine for tests: the machine's own where one answers, else one that is started here and ended again.

Ours keeps its images under .cache, so that the next run finds them. It changes no packet filter: the containers' ports
are carried by Docker's own proxy. Needs root and Debian's package docker.io; where it cannot run, the test fails.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from docker.client import DockerClient, from_env
from docker.errors import DockerException

from tests.support.fleet import until

BRIDGE = "docker0"
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
    own_bridge = not _bridge_exists()
    folder = Path(tempfile.mkdtemp(prefix="docker-", dir="/run"))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(_words(program, folder, data), stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(process, folder)
        yield folder / "socket"
    finally:
        process.terminate()
        process.wait(STOP_S)
        shutil.rmtree(folder, ignore_errors=True)
        if own_bridge and _bridge_exists():
            subprocess.run(["ip", "link", "delete", BRIDGE], check=True)


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


def _bridge_exists() -> bool:
    return Path("/sys/class/net", BRIDGE).exists()
