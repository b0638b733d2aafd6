"""A model's files from host to host, over the hosts' own network: the real rsync, through the real sshd of each."""

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devstral_fleet import weights
from devstral_fleet.project import MODEL_MAKERS
from tests.support.fleet import Site, succeeded
from tests.support.host_container import HostContainer, HostLab
from tests.support.hub_model import CONTENT, NAMES, OTHER, WEIGHTS, pin_of
from tests.support.hub_server import REPOSITORY, Hub
from tests.support.several import SeveralHosts
from tests.support.systemd_host import HOME, PORT

KEYS_FILE = "/home/deployer/.ssh/authorized_keys"


@pytest.fixture(scope="module")
def hosts(lab: HostLab) -> tuple[HostContainer, ...]:
    return lab.hosts(3)


def address(host: HostContainer) -> str:
    """Where other hosts reach it."""
    host.container.reload()
    found: str = host.container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    return found


@pytest.fixture
def fleet(tmp_path: Path, hosts: tuple[HostContainer, ...]) -> SeveralHosts:
    """Three hosts that never ask a hub; the first one has the pinned files, as somebody put them there."""
    here = SeveralHosts(tmp_path, tmp_path, 0, host="all")
    here.members = tuple(
        Site(tmp_path, HOME, PORT, host=host.name, connection=host.connection()).set(peer_address=address(host))
        for host in hosts
    )
    here.set(accelerator="nvidia", hardware="h100", model="devstral-small-2", runtime="container", fetch=False)
    hub = Hub(CONTENT)
    (here.inventory / weights.FILE).write_text(weights.written({REPOSITORY: pin_of(hub)}))
    for host in hosts:
        host.root("rm", "-rf", f"{HOME}/models", f"{HOME}/downloads")
        host.root("mkdir", "-p", f"{HOME}/models")
    place = f"{HOME}/models/devstral-small-2-{hub.revision[:12]}"
    hosts[0].root("mkdir", place)
    hosts[0].put({f"{place}/{name}": CONTENT[name] for name in NAMES}, 0o644)
    return here


@pytest.fixture
def unchanged_keys(hosts: tuple[HostContainer, ...]) -> Iterator[None]:
    """Whoever might log in before may do so afterwards, and nobody else."""
    before = [host.root("cat", KEYS_FILE) for host in hosts]
    yield
    assert [host.root("cat", KEYS_FILE) for host in hosts] == before
    for host in hosts:
        assert host.root("find", "/tmp", "-name", "devstral-fleet-*.conf") == ""


def folder(host: HostContainer) -> str:
    return host.root("find", f"{HOME}/models", "-mindepth", "1", "-maxdepth", "1", "-type", "d")


def sums(host: HostContainer) -> set[str]:
    """Hash and name of each file of the model."""
    return set(host.root("sh", "-c", f"cd {folder(host)} && sha256sum *").splitlines())


@pytest.mark.usefixtures("unchanged_keys")
def test_the_others_copy_what_one_host_has(fleet: SeveralHosts, hosts: tuple[HostContainer, ...]) -> None:
    ended = succeeded(fleet.invoke("models"))

    first, *others = hosts
    assert set(fleet.outcomes().values()) == {"fetched"}
    for other in others:
        assert f"{other.name}  copies its files from " in ended.text
        assert sums(other) == sums(first)
        assert folder(other) == folder(first), "and nothing half made beside it"
        assert other.root("sh", "-c", f"grep --recursive --files-with-matches 'PRIVATE KEY' {HOME} || true") == ""
    said = [path for path in fleet.runs.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert said == []
    assert "all 4 files are what the hub said" in succeeded(fleet.invoke("models", "--verify")).text
    assert "were there already" in succeeded(fleet.invoke("models")).text


@pytest.mark.usefixtures("unchanged_keys")
def test_this_machine_gives_its_files_once_and_the_hosts_copy_from_each_other(
    fleet: SeveralHosts, hosts: tuple[HostContainer, ...], tmp_path: Path
) -> None:
    place = tmp_path / "models" / Path(folder(hosts[0])).name
    place.mkdir(parents=True)
    for name in NAMES:
        (place / name).write_bytes(CONTENT[name])
    (place / weights.MANIFEST).write_text("{}")
    hosts[0].root("rm", "-rf", folder(hosts[0]))
    fleet.set(models=str(place.parent))

    ended = succeeded(fleet.invoke("models"))

    assert ended.text.count(f"copies its files from {place.parent} of this machine") == 1
    assert ended.text.count("copies its files from") == len(hosts)
    assert sums(hosts[0]) == sums(hosts[1]) == sums(hosts[2])
    assert "all 4 files are what the hub said" in succeeded(fleet.invoke("models", "--verify")).text


@pytest.mark.soak
@pytest.mark.usefixtures("unchanged_keys")
def test_what_is_wrong_at_the_source_stays_there(fleet: SeveralHosts, hosts: tuple[HostContainer, ...]) -> None:
    first, second, _ = hosts
    succeeded(fleet.invoke("models", f"--host={first.name}"))
    first.root("sh", "-c", f"printf x | dd of={folder(first)}/{OTHER} bs=1 seek=9 conv=notrunc")

    refused = fleet.invoke("models", f"--host={first.name}:{second.name}")

    assert refused.exit_code == 4, refused.text
    assert f"{OTHER} came twice with another content from {first.name} ({address(first)})" in refused.text
    assert "it is tried again" in refused.text
    assert folder(second).endswith(".partial")
    assert second.root("ls", folder(second)).split() == sorted({*NAMES} - {OTHER})


@pytest.mark.soak
@pytest.mark.usefixtures("unchanged_keys")
def test_a_copy_goes_on_where_it_was(fleet: SeveralHosts, hosts: tuple[HostContainer, ...]) -> None:
    first, second, _ = hosts
    succeeded(fleet.invoke("models", f"--host={first.name}"))
    partial = f"{folder(first)}.partial"
    second.root("mkdir", partial)
    second.put({f"{partial}/{WEIGHTS}": CONTENT[WEIGHTS][:1_000_000]}, 0o644)
    before = second.root("stat", "--format=%i", f"{partial}/{WEIGHTS}")

    succeeded(fleet.invoke("models", f"--host={first.name}:{second.name}"))

    assert sums(second) == sums(first)
    assert second.root("stat", "--format=%i", f"{folder(second)}/{WEIGHTS}") == before, "the same file, grown"


@pytest.mark.soak
@pytest.mark.usefixtures("unchanged_keys")
def test_a_source_that_cannot_be_reached_is_named(fleet: SeveralHosts, hosts: tuple[HostContainer, ...]) -> None:
    first, second, _ = hosts
    succeeded(fleet.invoke("models", f"--host={first.name}"))
    fleet.members[0].set(peer_address=f"{address(first)}:9")
    fleet.write()

    refused = fleet.invoke("models", f"--host={first.name}:{second.name}")

    assert refused.exit_code == 4, refused.text
    assert (
        f"do not come from {first.name} ({address(first)}): ssh: connect to host {address(first)} port 9"
        in refused.text
    )
    assert "fix: see whether this host reaches the other's sshd" in refused.text
    assert folder(second).endswith(".partial")


@pytest.mark.usefixtures("unchanged_keys")
def test_the_key_reads_one_folder_and_nothing_else(hosts: tuple[HostContainer, ...]) -> None:
    source, other, _ = hosts
    source.root("mkdir", "-p", "/srv/given")
    source.put({"/srv/given/file": b"for all", "/srv/other": b"not for you"}, 0o644)
    other.root("sh", "-c", "rm -f /tmp/key && ssh-keygen -q -t ed25519 -N '' -C '' -f /tmp/key")
    key = other.root("cat", "/tmp/key.pub")
    said = asked(source, key=key, folder="/srv/given", seconds=600)
    assert said["user"] == "deployer"
    other.put({"/tmp/known": "".join(f"source {line}\n" for line in said["keys"]).encode()})
    options = "-F /dev/null -i /tmp/key -o UserKnownHostsFile=/tmp/known -o HostKeyAlias=source -o BatchMode=yes"
    ssh = f"ssh {options}"
    there = f"deployer@{address(source)}"

    def tried(*words: str) -> "subprocess.CompletedProcess[str]":
        return other.ssh("sudo", shlex.join(words))

    read = tried("rsync", f"--rsh={ssh}", f"{there}::model/file", "/tmp/came")
    assert read.returncode == 0, read.stderr
    assert other.root("cat", "/tmp/came") == "for all"
    for path in ("model/../other", "other", "srv/other"):
        assert tried("rsync", f"--rsh={ssh}", f"{there}::{path}", "/tmp/not").returncode != 0
    # rsync's words are lost where the connection ends before they are read: it is asked up to five times.
    refusals = (tried("rsync", f"--rsh={ssh}", "/tmp/came", f"{there}::model/written") for _ in range(5))
    assert any("read only" in refused.stderr for refused in refusals)
    ran = tried(*ssh.split(), there, "touch", "/tmp/ran")
    assert ran.stdout.startswith("@RSYNCD:"), "rsync answers, whatever was asked for"
    assert source.root("find", "/tmp", "/srv/given", "-name", "ran", "-o", "-name", "written") == ""

    left = "ssh-ed25519 AAAAleft"  # by a controller that was killed, and expired since
    asked(source, key=left, folder="/srv/given", seconds=-120)
    asked(source, key=key)
    keys = source.root("sh", "-c", "cat /home/*/.ssh/authorized_keys")
    assert (left in keys, "--config=" in keys) == (False, False)
    assert source.root("find", "/tmp", "-name", "devstral-fleet-*.conf") == ""
    assert "Permission denied" in tried("rsync", f"--rsh={ssh}", f"{there}::model/file", "/tmp/came").stderr


def asked(host: HostContainer, **wish: object) -> dict[str, Any]:
    """Run the program that lets a peer in, as a verb does."""
    program = (MODEL_MAKERS / "let_peer_in.py").read_text()
    argv = host.ssh_argv("sudo", shlex.join(["python3", "-I", "-c", program]))
    done = subprocess.run(argv, input=json.dumps(wish), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
