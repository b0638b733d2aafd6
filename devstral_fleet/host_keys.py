"""What a host says its key is, which keys are known, and why a host cannot be reached: each with its fix."""

import base64
import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import paramiko

from devstral_fleet.errors import UnreachableError
from devstral_fleet.intent import Connection
from devstral_fleet.words import ssh

CONNECT_TIMEOUT_S = 15


@dataclass(frozen=True)
class HostKey:
    """The public key a server showed. `kind` is its SSH name; `public` its base64 text, as in known_hosts."""

    kind: str
    public: str

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen prints it: 'SHA256:…' without padding."""
        digest = hashlib.sha256(base64.b64decode(self.public)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def unreachable(host: str, at: Connection, error: BaseException) -> UnreachableError:
    """Say in one sentence, with its fix, why the host cannot be used."""
    where = f"{at.address}:{at.port}"
    match error:
        case UnreachableError():
            return error
        case paramiko.BadHostKeyException():
            expected, got = _fingerprint_of(error.expected_key), _fingerprint_of(error.key)
            message = f"{host}: the host key of {where} has changed: known is {expected}, it shows {got}"
            fix = (
                "a changed key is never accepted; if the host was reinstalled, compare the fingerprint on its console, "
                f"then remove the old one: ssh-keygen -R '{_known_name(at.address, at.port)}'"
            )
        case paramiko.AuthenticationException():
            message = f"{host}: {where} refuses the login{f' of {at.user}' if at.user else ''}: {_words(error)}"
            fix = "set ansible_user and ansible_ssh_private_key_file in the inventory, or load the key: ssh-add"
        case paramiko.SSHException() if "not found in known_hosts" in str(error):
            message = f"{host}: the host key of {where} is not known"
            fix = f".venv/bin/invoke init --host {host} shows its fingerprint; with --accept-new-host-key it is stored"
        case TimeoutError() | paramiko.ssh_exception.NoValidConnectionsError() | ConnectionRefusedError():
            message = f"{host}: {where} does not answer: {_words(error)}"
            fix = "check ansible_host and ansible_port, that the host is up, and that sshd runs there"
        case socket.gaierror():
            message = f"{host}: the name '{at.address}' is not known to DNS"
            fix = "set ansible_host to an address that resolves"
        case FileNotFoundError():
            message = f"{host}: the key file {error.filename} does not exist"
            fix = "correct ansible_ssh_private_key_file in the inventory"
        case _:
            message = f"{host}: the connection to {where} failed: {_words(error)}"
            fix = f"try it by hand: {ssh(at, 'true')}"
    return UnreachableError(message, fix=fix, host=host)


def host_key(address: str, port: int = 22, *, timeout_s: float = CONNECT_TIMEOUT_S) -> HostKey:
    """Ask the server which key it has. Nothing is accepted or stored.

    Raises:
        UnreachableError: nothing answers there as SSH does.
    """
    try:
        with socket.create_connection((address, port), timeout=timeout_s) as connection:
            transport = paramiko.Transport(connection)
            try:
                transport.start_client(timeout=timeout_s)
                key = transport.get_remote_server_key()
            finally:
                transport.close()
    except (paramiko.SSHException, OSError, EOFError) as error:
        at = Connection(kind="ssh", address=address, port=port)
        raise unreachable(address, at, error) from error
    return HostKey(key.get_name(), key.get_base64())


def accept_host_key(key: HostKey, at: Connection) -> bool:
    """Append the key to the connection's known_hosts. False: it was there already.

    Call it only when the operator said so. Raises UnreachableError where another key of the same kind is known.
    """
    path, name = known_hosts_of(at), _known_name(at.address, at.port)
    known = _load_known_hosts(path).lookup(name)
    if known is not None and key.kind in known:
        if known[key.kind].get_base64() == key.public:
            return False
        expected = HostKey(key.kind, known[key.kind].get_base64()).fingerprint
        raise UnreachableError(
            f"the host key of {name} has changed: known is {expected}, it shows {key.fingerprint}",
            fix=f"a changed key is never accepted; if the host was reinstalled: ssh-keygen -R '{name}' -f {path}",
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        text = file.read()
        line_break = b"\n" if text and not text.endswith(b"\n") else b""
        file.write(line_break + f"{name} {key.kind} {key.public}\n".encode())
    return True


def known_hosts_of(at: Connection) -> Path:
    """The connection's known_hosts, else the user's own, which `ssh` and Ansible read too."""
    return Path(at.known_hosts_file or "~/.ssh/known_hosts").expanduser()


def _load_known_hosts(path: Path) -> paramiko.HostKeys:
    return paramiko.HostKeys(str(path)) if path.exists() else paramiko.HostKeys()


def _known_name(address: str, port: int) -> str:
    return address if port == 22 else f"[{address}]:{port}"


def _fingerprint_of(key: paramiko.PKey) -> str:
    return HostKey(key.get_name(), key.get_base64()).fingerprint


def _words(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__
