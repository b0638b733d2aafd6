"""FabricShell and host keys against a real sshd on the loopback."""

import http.server
import os
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstral_fleet.errors import ExitCode, UnreachableError
from devstral_fleet.host_keys import HostKey, accept_host_key, host_key
from devstral_fleet.intent import Connection
from devstral_fleet.lab.keys import make_key
from devstral_fleet.shell import TIMED_OUT
from devstral_fleet.ssh import FabricShell
from tests.support.sshd import SshServer, ssh_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def shell(server: SshServer) -> Iterator[FabricShell]:
    opened = FabricShell("gpu01", server.connection())
    yield opened
    opened.close()


def test_output_errors_stdin_and_exit_status(shell: FabricShell) -> None:
    result = shell.run(["sh", "-c", "cat; echo no >&2; exit 3"], stdin="yes 'quoted'\n")
    assert (result.exit_status, result.stdout, result.stderr) == (3, "yes 'quoted'\n", "no\n")
    assert result.argv == ("sh", "-c", "cat; echo no >&2; exit 3")


def test_words_arrive_as_they_were_sent(shell: FabricShell) -> None:
    words = ["two words", "$HOME", "a'b", "*", "", "ü"]
    assert shell.run(["printf", "%s\n", *words]).stdout == "".join(f"{word}\n" for word in words)


def test_much_output_on_both_streams_does_not_block(shell: FabricShell) -> None:
    script = "import sys; sys.stdout.write('o'*3000000); sys.stderr.write('e'*3000000)"
    result = shell.run(["python3", "-c", script])
    assert (len(result.stdout), len(result.stderr)) == (3000000, 3000000)


def test_much_input_arrives_whole(shell: FabricShell) -> None:
    assert shell.run(["wc", "-c"], stdin="x" * 500000).stdout.strip() == "500000"


def test_environment_reaches_the_command_and_is_in_no_argv(shell: FabricShell) -> None:
    script = 'echo "$FLEET_PROBE"; cat /proc/[0-9]*/cmdline | tr "\\0" " "; cat'
    result = shell.run(["sh", "-c", script], environment={"FLEET_PROBE": "it is 4711-xyz"}, stdin="end")
    first, rest = result.stdout.split("\n", 1)
    assert first == "it is 4711-xyz"
    assert "4711-xyz" not in rest
    assert rest.endswith("end")


def test_time_out_kills_the_command_on_the_host(shell: FabricShell, tmp_path: Path) -> None:
    result = shell.run(["sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 600"], timeout_s=0.5)
    assert result.exit_status == TIMED_OUT
    pid = int((tmp_path / "pid").read_text())
    assert shell.run(["kill", "-0", str(pid)]).exit_status == 1


def test_exit_status_124_of_the_command_itself_is_no_time_out(shell: FabricShell) -> None:
    assert shell.run(["sh", "-c", "exit 124"]).exit_status == 124


def test_a_dropped_connection_is_opened_again(shell: FabricShell, server: SshServer) -> None:
    assert shell.run(["true"]).ok
    server.drop_connections()
    assert shell.run(["echo", "again"]).stdout == "again\n"


def test_a_connection_that_drops_during_a_command_is_unreachable(
    shell: FabricShell, server: SshServer, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "started")

    def drop() -> None:
        (tmp_path / "started").read_text()
        server.drop_connections()

    threading.Thread(target=drop, daemon=True).start()
    with pytest.raises(UnreachableError, match=r"gpu01: the connection to 127\.0\.0\.1"):
        shell.run(["sh", "-c", f"echo > {tmp_path}/started; exec sleep 5"])
    assert shell.run(["true"]).ok


def test_forward_carries_requests_and_outlives_a_refused_one(shell: FabricShell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with shell.forward(port) as local:
        assert local != port
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(f"http://127.0.0.1:{local}/", timeout=5)
        with _web_server(port):
            for _ in range(3):
                body = urllib.request.urlopen(f"http://127.0.0.1:{local}/", timeout=5).read()
                assert len(body) == 300000
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", local), timeout=5)


def test_an_unknown_host_key_is_refused(server: SshServer, tmp_path: Path) -> None:
    shell = FabricShell("gpu01", server.connection(known_hosts_file=str(tmp_path / "none")))
    with pytest.raises(UnreachableError, match=r"gpu01: the host key of .* is not known") as caught:
        shell.run(["true"])
    assert caught.value.code is ExitCode.UNREACHABLE
    assert "invoke init --host gpu01" in caught.value.fix


def test_a_changed_host_key_is_refused_and_said(server: SshServer, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    kind, public = (tmp_path / "other.pub").read_text().split()[:2]
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{server.port} {kind} {public}\n")
    shell = FabricShell("gpu01", server.connection(known_hosts_file=str(known_hosts)))
    with pytest.raises(UnreachableError, match="has changed") as caught:
        shell.run(["true"])
    assert "never accepted" in caught.value.fix
    assert public in known_hosts.read_text()
    with pytest.raises(UnreachableError, match="has changed"):
        accept_host_key(host_key("127.0.0.1", server.port), server.connection(known_hosts_file=str(known_hosts)))
    assert len(known_hosts.read_text().splitlines()) == 1


def test_a_wrong_login_key_is_said(server: SshServer, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    shell = FabricShell("gpu01", server.connection(private_key_file=str(tmp_path / "stranger")))
    with pytest.raises(UnreachableError, match="refuses the login") as caught:
        shell.run(["true"])
    assert "ansible_ssh_private_key_file" in caught.value.fix


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"port": 1}, "127.0.0.1:1 does not answer"),
        ({"address": "no-such-host.invalid"}, "'no-such-host.invalid' is not known to DNS"),
        ({"private_key_file": "/nonexistent/key"}, "key file /nonexistent/key does not exist"),
    ],
)
def test_what_cannot_be_reached_is_said_with_its_fix(server: SshServer, changes: dict[str, object], words: str) -> None:
    shell = FabricShell("gpu01", server.connection(**changes))
    with pytest.raises(UnreachableError, match=words) as caught:
        shell.run(["true"])
    assert caught.value.fix
    assert caught.value.host == "gpu01"


def test_fingerprint_is_the_one_ssh_keygen_prints(server: SshServer) -> None:
    printed = subprocess.run(
        ["ssh-keygen", "-lf", str(server.folder / "host_key.pub")], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert host_key("127.0.0.1", server.port).fingerprint == printed


def test_a_key_is_stored_once_and_what_was_there_stays(server: SshServer, tmp_path: Path) -> None:
    known_hosts = tmp_path / "ssh" / "known_hosts"
    known_hosts.parent.mkdir()
    known_hosts.write_text("# mine\nother ssh-ed25519 AAAA")
    key, at = host_key("127.0.0.1", server.port), server.connection(known_hosts_file=str(known_hosts))
    assert accept_host_key(key, at)
    assert not accept_host_key(key, at)
    assert known_hosts.read_text().startswith("# mine\nother ssh-ed25519 AAAA\n[127.0.0.1]:")
    assert len(known_hosts.read_text().splitlines()) == 3
    shell = FabricShell("gpu01", at)
    assert shell.run(["true"]).ok
    shell.close()


def test_a_new_known_hosts_is_private(tmp_path: Path) -> None:
    known_hosts = tmp_path / "new" / "known_hosts"
    at = Connection(kind="ssh", address="gpu01", known_hosts_file=str(known_hosts))
    accept_host_key(HostKey("ssh-ed25519", "AAAA"), at)
    assert known_hosts.read_text() == "gpu01 ssh-ed25519 AAAA\n"
    assert (known_hosts.stat().st_mode & 0o777, known_hosts.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_server_that_does_not_speak_ssh_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}"):
            host_key("127.0.0.1", port, timeout_s=5)


class _Big(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * 300000)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


class _web_server:
    """A web server on a given port while the context lasts."""

    def __init__(self, port: int) -> None:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Big)

    def __enter__(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
