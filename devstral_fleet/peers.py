"""How one host copies a model's files from another: the address, and the words of rsync over SSH (pure)."""

import ipaddress
import re
from urllib.parse import urlsplit

from pydantic import Field

from devstral_fleet.model import Value

SSH_PORT = 22
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
PEER = "source"
"""What ssh calls the other host."""
KEY, HOST_KEYS = "FLEET_PEER_KEY", "FLEET_PEER_HOST_KEYS"
RSYNC = ("rsync", "--append", "--files-from=-", "--timeout=60")
SSH_OPTIONS = {
    "BatchMode": "yes",
    "IdentityFile": "none",
    "StrictHostKeyChecking": "yes",
    "UserKnownHostsFile": "known_hosts",
    "GlobalKnownHostsFile": "/dev/null",
    "HostKeyAlias": PEER,
    "ConnectTimeout": "10",
    "ServerAliveInterval": "15",
}
_WITH_KEY = f"""\
printf '%s\\n' "${HOST_KEYS}" >known_hosts &&
printf '%s\\n' "${KEY}" | ssh-add -q - &&
unset {KEY} &&
exec "$@"
"""


def address(text: str, default_port: int = SSH_PORT) -> tuple[str, int] | None:
    """Return host and port of 'HOST', 'HOST:PORT' or '[IPV6]:PORT'; None for what is none of these.

    Args:
        default_port: 0 where the text must have one.
    """
    try:
        found = urlsplit(f"//{text}")
        host, port = found.hostname or "", found.port or default_port
    except ValueError:
        return None
    if not port or found.netloc != text or "@" in text or not (_HOST_NAME.fullmatch(host) or _is_ipv6(host)):
        return None
    return host, port


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


class Copy(Value):
    """How a host copies a model's files: from where, and the words of rsync that copy what standard input lists."""

    source: str
    words: tuple[str, ...]
    environment: dict[str, str] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict, repr=False)


class Way(Value):
    """How another host is reached by the one that copies a model's files from it."""

    source: str
    address: str
    port: int
    user: str
    host_keys: tuple[str, ...]
    """'TYPE KEY' of its sshd."""
    key: str = Field(repr=False)
    """Private, in OpenSSH's format."""

    @property
    def words(self) -> tuple[str, ...]:
        """Words that copy, from the folder that the key gives, the files that standard input lists.

        The key is in the agent's memory alone; `KEY` and `HOST_KEYS` are in the environment.
        """
        options = {**SSH_OPTIONS, "User": self.user, "Port": str(self.port), "HostName": self.address}
        ssh = " ".join(("ssh -F /dev/null", *(f"-o {name}={value}" for name, value in options.items())))
        return (*("ssh-agent", "sh", "-c", _WITH_KEY, "sh"), *RSYNC, f"--rsh={ssh}", f"{PEER}::model/")

    @property
    def copy_of_files(self) -> Copy:
        """The same as it is told to the job that copies."""
        return Copy(
            source=f"{self.source} ({self.address})",
            words=self.words,
            environment={HOST_KEYS: self.known_hosts},
            secrets={KEY: self.key},
        )

    @property
    def known_hosts(self) -> str:
        return "\n".join(f"{PEER} {key}" for key in self.host_keys)
