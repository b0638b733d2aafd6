"""The Docker engine of this machine, which carries the lab's hosts. It is used as it is found, never started here."""

import shutil
from pathlib import Path

from docker.client import DockerClient, from_env
from docker.errors import DockerException

from devstral_fleet.errors import DependencyError

SYSTEMD = Path("/run/systemd/system")


def connect() -> DockerClient:
    """Give a client of this machine's Docker engine ($DOCKER_HOST, else Docker's own default).

    Raises:
        DependencyError: none answers, or it is another machine's: a lab host is reached on this loopback.
    """
    try:
        client = from_env()
        client.ping()
    except DockerException as error:
        raise DependencyError(
            "the lab needs a Docker engine on this machine, and none answers",
            fix=_remedy(str(error)),
            evidence=[str(error)],
        ) from error
    if not client.api.base_url.startswith("http+docker://"):
        raise DependencyError(
            f"the lab needs a Docker engine on this machine; DOCKER_HOST names another: {client.api.base_url}",
            fix="unset DOCKER_HOST",
        )
    return client


def _remedy(reason: str) -> str:
    if "Permission denied" in reason:
        return 'let this user in: sudo usermod --append --groups docker "$USER", then log in again'
    if shutil.which("dockerd", path="/usr/sbin:/usr/bin:/usr/local/bin:/sbin") is None:
        return "install one: sudo apt-get install docker.io (or your system's package)"
    if SYSTEMD.is_dir():
        return "start it: sudo systemctl start docker"
    return "start it, in a terminal of its own: sudo dockerd"
