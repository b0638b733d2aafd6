"""Keys of hosts: an unknown one is refused until it is accepted, a changed one is refused for good."""

from pathlib import Path

import pytest

from tests.support.fleet import Site, succeeded
from tests.support.host_container import HostContainer
from tests.support.systemd_host import HOME, PORT

pytestmark = pytest.mark.soak


def test_an_unknown_host_key_is_refused_until_it_is_accepted(proven: Site, host: HostContainer, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    stranger = Site(tmp_path, HOME, PORT, proven.keys, host.name, host.connection(known_hosts)).set()

    refused = stranger.invoke("deploy", "--no-bench")
    assert refused.exit_code == 3, refused.text
    assert "is not known" in refused.text
    assert not known_hosts.exists()

    shown = succeeded(stranger.invoke("init"))
    assert "SHA256:" in shown.text
    assert not known_hosts.exists()

    succeeded(stranger.invoke("init", "--accept-new-host-key"))
    succeeded(stranger.invoke("deploy", "--no-bench"))


def test_init_accepts_a_key_only_when_told_to(
    host: HostContainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    known_hosts = tmp_path / ".ssh" / "known_hosts"
    words = ["init", f"--host={host.name}", f"--address={host.address}", f"--port={host.port}", "--accelerator=cpu"]
    here = Site(tmp_path / "site", HOME, PORT, host="another").set()

    asked = succeeded(here.invoke(*words))
    assert "compare it with" in asked.text
    assert not known_hosts.exists()

    here.set()
    succeeded(here.invoke(*words, "--accept-new-host-key"))
    assert known_hosts.read_text() == host.known_hosts.read_text()


def test_a_changed_host_key_is_refused(proven: Site, host: HostContainer) -> None:
    host.change_host_key()

    refused = proven.invoke("deploy", "--no-bench")
    host.trust()

    assert refused.exit_code == 3, refused.text
    assert "has changed" in refused.text
    succeeded(proven.invoke("verify"))
