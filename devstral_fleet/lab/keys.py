"""Keys of lab hosts. They are made here before a host starts, so that its known_hosts entry asks no network."""

import subprocess
from pathlib import Path

from devstral_fleet.errors import DependencyError

LOGIN, HOST = "login_key", "host_key"


def make_key(path: Path) -> None:
    """Make an ed25519 key pair at `path`, replacing one that is there.

    Raises:
        DependencyError: ssh-keygen is missing.
    """
    path.unlink(missing_ok=True)
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)]
    try:
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise DependencyError("ssh-keygen is missing", fix="sudo apt-get install openssh-client") from error


def make_keys(folder: Path) -> None:
    """Make a host's login key and its own key."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in (LOGIN, HOST):
        make_key(folder / name)


def complete(folder: Path) -> bool:
    """Whether everything is there that a login needs."""
    return all((folder / name).is_file() for name in (LOGIN, f"{HOST}.pub", "known_hosts"))


def host_key_files(folder: Path) -> dict[str, bytes]:
    """The host's own key pair, by its path on the host."""
    return {f"etc/ssh/ssh_host_ed25519_key{end}": (folder / f"{HOST}{end}").read_bytes() for end in ("", ".pub")}


def trust(folder: Path, address: str, port: int) -> None:
    """Write known_hosts with the key that the host has."""
    kind, public = (folder / f"{HOST}.pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(f"[{address}]:{port} {kind} {public}\n")
