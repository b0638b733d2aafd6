"""A bare host over SSH, provisioned from a signed repository that the test serves; then a deploy to it.

The packages are Debian's own. What the product says is compared with what plain ssh sees of the host.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devstral_fleet.lab import image
from tests.support.fleet import Site, succeeded
from tests.support.host_container import HostContainer, HostLab
from tests.support.package_site import Repository, installed, publish, renamed, repository_of, stand_in
from tests.support.replay_image import replay_image
from tests.support.systemd_host import HOME, PORT, healthy, link

GIVEN_BY_PROVISION = ("docker.io", "iptables", "logrotate", "python3-venv")
BARE = replace(image.HOST, packages=tuple(name for name in image.HOST.packages if name not in GIVEN_BY_PROVISION))
WANTED = (*GIVEN_BY_PROVISION, "pciutils")


@pytest.fixture(scope="module")
def host(lab: HostLab) -> HostContainer:
    return lab.host("bare01", BARE)


@pytest.fixture(scope="module")
def repository(host: HostContainer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """The repository that the host's apt asks."""
    with repository_of(host, "bookworm", WANTED, tmp_path_factory.mktemp("repository")) as here:
        yield here


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, lab: HostLab, host: HostContainer, repository: Repository) -> Site:
    """A site with that host, whose repository is signed as it should be."""
    repository.sign(repository.signer)
    here = Site(tmp_path_factory.mktemp("site"), HOME, PORT, host=host.name, connection=host.connection())
    return here.set(runtime="container", image=replay_image(lab.client))


def test_check_tells_what_is_missing_and_installs_nothing(site: Site, host: HostContainer) -> None:
    told = succeeded(site.invoke("provision", "--check"))
    deployed = succeeded(site.invoke("deploy", "--check"))

    assert "debian-12" in told.text
    assert "would change: packages: Foresee which packages would be installed" in told.text
    assert "docker.io" in told.text
    assert "would be provisioned first" in deployed.text
    assert installed(host, "docker.io") == ""


def test_what_another_key_signed_is_refused(site: Site, host: HostContainer, repository: Repository) -> None:
    repository.sign(repository.stranger)

    refused = site.invoke("provision")

    assert refused.exit_code == 4, refused.text
    assert "NO_PUBKEY" in refused.text or "not signed" in refused.text, refused.text
    assert installed(host, "docker.io") == ""


@pytest.mark.soak
def test_a_repository_that_is_down_is_named_with_its_address(
    site: Site, host: HostContainer, repository: Repository
) -> None:
    own = host.root("cat", "/etc/apt/sources.list")
    host.put({"/etc/apt/sources.list": own.replace(repository.url, "http://127.0.0.1:9").encode()}, 0o644)

    refused = site.invoke("provision")
    host.put({"/etc/apt/sources.list": own.encode()}, 0o644)

    assert refused.exit_code == 4, refused.text
    assert "http://127.0.0.1:9/" in refused.text
    assert "Connection refused" in refused.text or "Could not connect" in refused.text, refused.text
    assert installed(host, "docker.io") == ""


def test_hands_off_a_host_whose_inventory_says_so(site: Site, host: HostContainer) -> None:
    site.set(provision=False)

    refused, deployed = site.invoke("provision"), site.invoke("deploy")

    assert refused.exit_code == 2, refused.text
    assert "fleet_provision is false" in refused.text
    assert deployed.exit_code == 5, deployed.text
    assert "there is no Docker engine" in deployed.text
    assert installed(host, "docker.io") == ""


def test_a_deploy_to_a_bare_host_provisions_it_and_the_second_run_changes_nothing(
    site: Site, host: HostContainer
) -> None:
    deployed = succeeded(site.invoke("deploy", "--no-bench"))

    assert "provision done in" in deployed.text
    assert link(host, "serving") == link(host, "current") != ""
    assert healthy(host)
    assert [installed(host, name) for name in GIVEN_BY_PROVISION] == ["installed"] * len(GIVEN_BY_PROVISION)
    assert host.root("systemctl", "is-enabled", "docker") == "enabled"

    again = succeeded(site.invoke("provision"))
    assert site.report()["hosts"][0]["outcome"] == "unchanged", again.text
    foreseen = succeeded(site.invoke("provision", "--check"))
    assert "0 tasks would change something" in foreseen.text


def test_an_interrupted_installation_is_finished(site: Site, host: HostContainer, tmp_path: Path) -> None:
    package = stand_in(tmp_path, "half", "1.0")
    host.put({"/srv/half.deb": package.read_bytes()}, 0o644)
    host.root("dpkg", "--unpack", "/srv/half.deb")
    assert installed(host, "half") == "unpacked"

    succeeded(site.invoke("provision"))

    assert site.report()["hosts"][0]["outcome"] == "provisioned"
    assert installed(host, "half") == "installed"


@pytest.mark.soak
def test_the_vendors_engine_comes_from_the_sites_mirror(lab: HostLab, repository: Repository, tmp_path: Path) -> None:
    names = {"containerd": "containerd.io", "docker.io": "docker-ce"}
    packages = [stand_in(tmp_path, name, "1.0") for name in ("docker-ce-cli", "docker-buildx-plugin")]
    for old, new in names.items():
        (debians,) = (path for path in repository.packages if path.name.startswith(f"{old}_"))
        packages.append(renamed(tmp_path, debians, new, names))
    publish(repository.root / "docker", "bookworm", packages, repository.signer, "stable")
    key = tmp_path / "site.asc"
    key.write_bytes(repository.signer.public)
    other = lab.host("bare02", BARE)
    repository.given_to(other)
    here = Site(tmp_path / "site", HOME, PORT, host=other.name, connection=other.connection())
    here.set(runtime="container", image=replay_image(lab.client), packages="vendor")
    here.set(repositories={"docker": f"{repository.url}/docker"}, repository_keys={"docker": str(key)})

    succeeded(here.invoke("provision"))

    assert installed(other, "docker-ce") == "installed"
    assert other.root("docker", "version", "--format", "{{.Server.Version}}")
    succeeded(here.invoke("provision"))
    assert here.report()["hosts"][0]["outcome"] == "unchanged"
