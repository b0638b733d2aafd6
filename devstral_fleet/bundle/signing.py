"""A bundle's signature: ssh-keygen's, by a key that the site has anyway; `install.py` has ssh-keygen verify it."""

import subprocess
import tempfile
from pathlib import Path

from devstral_fleet.bundle.manifest import NAME, NAMESPACE
from devstral_fleet.errors import ConfigurationError, DependencyError


def try_out(key: str) -> None:
    """Sign something of no use, before a bundle is made that could not be signed.

    Raises:
        As `sign`.
    """
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / NAME).touch()
        sign(Path(place), key)


def sign(folder: Path, key: str) -> None:
    """Write manifest.json.sig into the bundle.

    Args:
        key: path of a private key; or of its public half, where an agent holds the other.

    Raises:
        ConfigurationError: ssh-keygen could not sign with it. DependencyError: there is no ssh-keygen.
    """
    words = ["ssh-keygen", "-Y", "sign", "-f", key, "-n", NAMESPACE, str(folder / NAME)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        fix = "sudo apt-get install openssh-client"
        raise DependencyError("ssh-keygen, which signs a bundle, is missing", fix=fix) from error
    if done.returncode:
        fix = "name a key without a passphrase, or the .pub of one that your agent holds"
        raise ConfigurationError(f"ssh-keygen could not sign with {key}", fix=fix, evidence=done.stderr.splitlines())
