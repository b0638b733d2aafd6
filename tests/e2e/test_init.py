"""`init` against a real sshd: a new host, a host that is known, and keys that are stored only when asked to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import Site, succeeded
from tests.support.sshd import SshServer, ssh_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, server: SshServer) -> Site:
    """A site whose one host is that server, with a known_hosts of its own that is not there yet."""
    connection = {
        "ansible_host": "127.0.0.1",
        "ansible_port": server.port,
        "ansible_ssh_private_key_file": str(server.folder / "client_key"),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={tmp_path / 'known_hosts'}",
    }
    return Site(tmp_path, tmp_path / "home", 30000, host="gpu01", connection=connection).set()


def test_the_key_of_a_host_in_the_inventory_is_shown_and_stored_only_when_told_to(site: Site) -> None:
    refused = site.invoke("status")
    assert refused.exit_code == 3, refused.text
    assert "invoke init --host gpu01" in refused.stderr

    shown = succeeded(site.invoke("init"))
    assert "SHA256:" in shown.stdout
    assert site.invoke("status").exit_code == 3

    succeeded(site.invoke("init", "--accept-new-host-key"))
    assert succeeded(site.invoke("status")).stderr == ""
    assert "it is known already" in succeeded(site.invoke("init", "--accept-new-host-key")).stdout


def test_a_name_that_is_taken_is_refused_before_anything_is_contacted(site: Site) -> None:
    before = site.inventory.read_text()
    refused = site.invoke("init", "--address=127.0.0.2", "--port=9")
    assert refused.exit_code == 2, refused.text
    assert "has a host 'gpu01' already" in refused.stderr
    assert site.inventory.read_text() == before


def test_a_host_that_is_nowhere_is_an_unknown_host(site: Site) -> None:
    refused = site.invoke("init", "--host=gpu77")
    assert refused.exit_code == 2, refused.text
    assert "gpu77" in refused.stderr
