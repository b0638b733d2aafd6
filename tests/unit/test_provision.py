"""What a host gets under its engine: by system and inventory, and the keys that its repositories are checked by."""

import fcntl
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet import provision, rolevars_provision
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.shell import CommandResult, LocalShell
from devstral_fleet.workflows import looking, provisioning
from tests.support.hosts import host_of, quiet, target
from tests.support.intents import gpu_host
from tests.support.provisions import provision_plan
from tests.support.tree import ROOT
from tests.support.values import HOST

ROLES = ROOT / "playbooks" / "roles"
FETCH = ROLES / "repositories" / "files" / "fetch_key.py"
WAIT = ROLES / "packages" / "files" / "wait_for_lock.py"
KEY = Path(__file__).parent / "cases" / "keys" / "key.asc"
"""Made for this test with `gpg --quick-generate-key` (ed25519), which said the fingerprint."""
VENDORS = ["docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin"]
FINGERPRINT = "FB27060C27CFF05ACADB3623EF75EC05159B3E94"


@pytest.mark.parametrize(
    ("system", "version", "keys", "engine"),
    [
        ("debian", "12", {"packages": "auto"}, ["docker.io"]),
        ("debian", "13", {"packages": "auto"}, ["docker.io", "docker-cli", "docker-buildx"]),
        ("ubuntu", "24.04", {"packages": "distribution"}, ["docker.io", "docker-buildx"]),
        ("debian", "12", {"packages": "vendor"}, VENDORS),
        ("rocky", "9.5", {"repository_keys": {"docker": "/k"}}, VENDORS),
        ("debian", "12", {"runtime": "native"}, []),
    ],
)
def test_which_packages(system: str, version: str, keys: dict[str, Any], engine: list[str]) -> None:
    plan = provision_plan(system, version, **keys)
    base = list(catalogs.load().provisioning.packages[plan.family])
    assert list(plan.packages) == base + engine
    assert plan.docker == bool(engine)
    assert bool(plan.repositories) == ("docker-ce" in engine)


@pytest.mark.parametrize(("system", "version", "client"), [("debian", "12", "-client"), ("rocky", "9.5", "-clients")])
def test_a_host_that_gives_its_files_to_others_gets_rsync(system: str, version: str, client: str) -> None:
    copying = {f"openssh{client}", "rsync"}
    assert copying <= {*provision_plan(system, version, peer_address="10.0.0.5", has_docker=True).packages}
    assert not copying & {*provision_plan(system, version, has_docker=True).packages}


def test_a_docker_that_is_installed_stays_whoever_brought_it() -> None:
    plan = provision_plan(has_docker=True)
    assert not [name for name in plan.packages if "docker" in name]
    assert (plan.repositories, plan.docker) == ((), True)
    assert provision_plan("rhel", "9.4", has_docker=True).docker


def test_the_vendors_repository_of_a_debian() -> None:
    (found,) = provision_plan().repositories
    assert found.text == (
        "Types: deb\nURIs: https://download.docker.com/linux/debian\nSuites: bookworm\nComponents: stable\n"
        "Signed-By: /etc/apt/keyrings/docker.asc\n"
    )
    assert found.path == "/etc/apt/sources.list.d/docker.sources"
    assert found.key_address == "https://download.docker.com/linux/debian/gpg"
    assert len(found.fingerprint) == 40
    assert found.key_file == ""


def test_a_sites_mirror_and_its_own_key() -> None:
    mirror, key = {"docker": "https://mirror.site/docker/"}, {"docker": "/srv/key.asc"}
    keys: dict[str, Any] = {"repositories": mirror, "repository_keys": key}
    (found,) = provision_plan("ubuntu", "22.04", **keys).repositories
    assert "URIs: https://mirror.site/docker\nSuites: jammy\n" in found.text
    assert (found.key_address, found.fingerprint, found.key_file) == ("", "", "/srv/key.asc")
    (rpm,) = provision_plan("rhel", "10.1", **keys).repositories
    assert "baseurl=https://mirror.site/docker/stable\n" in rpm.text
    assert "gpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/docker.asc\n" in rpm.text


@pytest.mark.parametrize(
    ("system", "version", "keys", "words", "fix"),
    [
        ("fedora", "41", {}, "nothing is known of how to provision fedora 41", "fleet_provision: false"),
        ("", "", {}, "an unknown system", "debian-12"),
        ("rhel", "9.4", {}, "no document confirms the key of the packages of docker for rhel", "fleet_repository_keys"),
        ("rhel", "9.4", {"packages": "distribution"}, "has no Docker engine of its own", "fleet_packages: vendor"),
    ],
)
def test_what_is_refused(system: str, version: str, keys: dict[str, Any], words: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        provision_plan(system, version, **keys)
    assert words in refused.value.message
    assert fix in refused.value.fix


def test_only_gpu_hosts_get_settings_of_the_kernel() -> None:
    assert provision.sysctl_text(provision_plan()) == "kernel.numa_balancing = 0\n"
    cpu = provision_plan(accelerator="cpu", hardware="cpu", gpu_count=0)
    assert rolevars_provision.provision(cpu, python="python3", lock_wait_s=1)["host_settings"]["text"] == ""


def test_which_systems_are_known() -> None:
    facts = HOST.model_copy(update={"os_id": "debian", "os_version": "12"})
    found = provision.system_of(facts, catalogs.load())
    assert found
    assert (found.name, found.proven) == ("debian-12", "converged")
    assert provision.system_of(facts.model_copy(update={"os_version": "11"}), catalogs.load()) is None


@pytest.mark.parametrize(
    ("system", "user", "keys", "possible"),
    [
        ("debian", "root", {}, True),
        ("debian", "anna", {}, False),
        ("debian", "root", {"provision": False}, False),
        ("plan9", "root", {}, False),
    ],
)
def test_who_may_be_provisioned(system: str, user: str, keys: dict[str, Any], possible: bool) -> None:
    facts = HOST.model_copy(update={"os_id": system, "os_version": "12", "user": user})
    assert provision.possible(gpu_host(**keys), facts, catalogs.load()) == possible


class Counting(LocalShell):
    """This machine, whose looks at the system are counted."""

    looks = 0

    def run(self, argv: Sequence[str], **options: Any) -> CommandResult:
        self.looks += "hostname=" in str(options.get("stdin"))
        return super().run(argv, **options)


def test_one_look_at_the_system_is_enough_for_a_plan(tmp_path: Path) -> None:
    console, _ = quiet()
    host = host_of(target(tmp_path), console)
    host.shell = shell = Counting()
    looking.require_real(host)
    provisioning.helps(host, ())
    with suppress(ConfigurationError):  # this machine's user or system may not be one to provision
        provisioning.plan(host)
    assert shell.looks == 1


@pytest.fixture(scope="module")
def fingerprints() -> Callable[[bytes], list[str]]:
    return cast("Callable[[bytes], list[str]]", runpy.run_path(str(FETCH))["fingerprints"])


def fetch(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, str(FETCH), *words], capture_output=True, text=True)


def test_a_keys_fingerprint_is_the_one_that_gpg_says(fingerprints: Callable[[bytes], list[str]]) -> None:
    assert fingerprints(KEY.read_bytes()) == [FINGERPRINT]


def test_a_key_is_fetched_once(tmp_path: Path) -> None:
    kept = tmp_path / "keyrings" / "docker.asc"
    foreseen = fetch("--check", KEY.as_uri(), FINGERPRINT, str(kept))
    assert (foreseen.returncode, kept.exists()) == (0, False)
    assert foreseen.stdout == f"fetched the key {FINGERPRINT}\n"
    assert fetch(KEY.as_uri(), FINGERPRINT, str(kept)).stdout == foreseen.stdout
    assert kept.read_bytes() == KEY.read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o644
    assert fetch(KEY.as_uri(), FINGERPRINT, str(kept)).stdout == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (KEY.read_bytes(), f"is {FINGERPRINT}, expected {'0' * 40}"),
        (KEY.read_bytes() * 2, f"is {FINGERPRINT} and {FINGERPRINT}, expected"),
        (b"<html>sign in first</html>", "is no key: no OpenPGP packet"),
        (b"", "is none, expected"),
    ],
    ids=["another key", "two keys", "a page", "nothing"],
)
def test_what_is_not_the_key_is_not_kept(content: bytes, words: str, tmp_path: Path) -> None:
    source, kept = tmp_path / "key", tmp_path / "kept"
    source.write_bytes(content)
    refused = fetch(source.as_uri(), "0" * 40, str(kept))
    assert refused.returncode == 1
    assert words in refused.stderr
    assert not kept.exists()


def test_a_repository_that_is_down_is_said(tmp_path: Path) -> None:
    refused = fetch((tmp_path / "none").as_uri(), FINGERPRINT, str(tmp_path / "kept"))
    assert refused.returncode == 1
    assert "gave no key" in refused.stderr


def test_whoever_installs_packages_is_waited_for_and_named(tmp_path: Path) -> None:
    lock = tmp_path / "lock-frontend"
    script = WAIT.read_text().replace("/var/lib/dpkg/lock-frontend", str(lock))

    def wait() -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, "-", "0"], input=script, capture_output=True, text=True)

    assert wait().returncode == 0
    with lock.open("a") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        refused = wait()
    assert refused.returncode == 1
    name = Path("/proc/self/comm").read_text().strip()
    assert f"{name} (pid {os.getpid()}) has installed packages for longer than 0 s" in refused.stderr
