"""A home on a host with systemd, as plain ssh sees it: what the product says is compared with this."""

import json
from pathlib import Path

from devstral_fleet.layout import HostLayout
from devstral_fleet.probes.service import unit_name
from tests.support.host_container import HostContainer

HOME = Path("/opt/devstral-fleet")
PORT = 30000
UNIT = unit_name(HostLayout.of(str(HOME)))


def link(host: HostContainer, name: str) -> str:
    """Release that a link of the home names; '' for no link."""
    return Path(host.root("sh", "-c", f"readlink {HOME}/{name} || true")).name


def shown(host: HostContainer, name: str) -> str:
    """One property of the unit, as an ordinary user asks systemd for it."""
    return host.ssh("systemctl", "show", "--value", f"--property={name}", UNIT).stdout.strip()


def pid(host: HostContainer) -> int:
    return int(shown(host, "MainPID"))


def healthy(host: HostContainer) -> bool:
    """Whether the engine answers on the host's own loopback."""
    ask = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{PORT}/health', timeout=2)"
    return host.ssh(f'python3 -c "{ask}"').returncode == 0


def events(host: HostContainer) -> list[str]:
    """Events of the host's audit log, oldest first."""
    return [json.loads(line)["event"] for line in host.root("cat", f"{HOME}/audit.jsonl").splitlines()]


def jobs(host: HostContainer) -> set[str]:
    """Jobs of the host that were started: their process is written down."""
    return set(host.root("find", f"{HOME}/jobs", "-name", "pid").split())
