"""Debian 13 hosts over SSH: one with buildx builds an image of ours and serves it, a bare one is provisioned.

The engine is the replay engine. The tests of Debian 12 hosts build with the classic builder.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from devstral_fleet.lab import image
from tests.support.engine.wheel import requirements
from tests.support.fleet import Site, succeeded
from tests.support.gpu_packages import gpu_site, publish_headers, publish_nvidia, see_h100
from tests.support.host_container import HostContainer, HostLab
from tests.support.image_bases import engine_base, engine_root
from tests.support.package_site import repository_of
from tests.support.replay_image import replay_image
from tests.support.systemd_host import HOME, PORT, healthy, link

pytestmark = pytest.mark.soak

GIVEN_BY_PROVISION = ("docker.io", "iptables", "logrotate", "python3-venv")
# Its Docker takes IPv6 from a container's interface, for which it writes to /proc/sys: read-only in a host that is a
# container itself.
HOOKS = (
    *image.HOOKS,
    'mkdir -p "$1/etc/systemd/system/docker.service.d"',
    'printf "[Service]\\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\\n" '
    '>"$1/etc/systemd/system/docker.service.d/lab.conf"',
)
BARE = replace(
    image.HOST,
    suite="trixie",
    packages=tuple(name for name in image.HOST.packages if name not in GIVEN_BY_PROVISION),
    hooks=HOOKS,
)
TRIXIE = replace(BARE, packages=(*image.HOST.packages, "docker-cli", "docker-buildx"))


@pytest.fixture(scope="module")
def host(lab: HostLab) -> HostContainer:
    return lab.host("trixie01", TRIXIE)


@pytest.fixture
def site(tmp_path: Path, lab: HostLab, host: HostContainer, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site with that host, whose plan has an image of ours with the replay engine."""
    lock = requirements(tmp_path / "wheels")
    monkeypatch.setenv("PIP_FIND_LINKS", str(lock.parent))
    here = Site(tmp_path, HOME, PORT, host=host.name, connection=host.connection())
    base = engine_base(lab.client)
    host.load_image(engine_root(), base)
    return here.set(runtime="container", image_base=base, engine_requirements=str(lock))


def test_buildx_builds_on_the_host_what_it_then_serves(site: Site, host: HostContainer) -> None:
    assert "VERSION_CODENAME=trixie" in host.root("cat", "/etc/os-release")
    here = (f"--host={host.name}", f"--on={host.name}")

    built = succeeded(site.invoke("build", *here))
    deployed = succeeded(site.invoke("deploy", "--no-bench"))
    again = succeeded(site.invoke("deploy", "--no-bench"))

    assert f"built on {host.name}" in built.text
    said = "".join(path.read_text() for path in site.runs.glob("*/*build.yml.jsonl"))
    assert " with buildx in " in said
    assert "build done" not in deployed.text
    assert host.root("docker", "image", "ls", "--quiet", "--filter", "label=org.opencontainers.image.version")
    assert link(host, "serving") == link(host, "current") != ""
    assert healthy(host)
    assert "unchanged" in again.text


def test_a_bare_host_is_provisioned_and_a_second_run_changes_nothing(lab: HostLab, tmp_path: Path) -> None:
    bare = lab.host("trixie02", BARE)
    names = (*GIVEN_BY_PROVISION, "docker-cli", "docker-buildx", "pciutils")
    (tmp_path / "repository").mkdir()
    site = Site(tmp_path / "site", HOME, PORT, host=bare.name, connection=bare.connection())
    site.set(runtime="container", image=replay_image(lab.client))
    with repository_of(bare, "trixie", names, tmp_path / "repository"):
        foreseen = succeeded(site.invoke("provision", "--check"))
        succeeded(site.invoke("provision"))
        first = site.report()["hosts"][0]["outcome"]
        succeeded(site.invoke("provision"))

    assert "debian-13: " in foreseen.text
    assert (first, site.report()["hosts"][0]["outcome"]) == ("provisioned", "unchanged")
    assert bare.root("docker", "version", "--format", "{{.Server.Version}}")
    assert bare.root("docker", "buildx", "version")
    assert bare.root("systemctl", "is-enabled", "docker") == "enabled"
    assert "deployed" in succeeded(site.invoke("deploy", "--no-bench")).text
    assert healthy(bare)


def test_a_gpu_host_gets_driver_services_and_runtime(host: HostContainer, tmp_path: Path) -> None:
    see_h100(host)
    with repository_of(host, "trixie", ("kmod", "pciutils", "python3-venv", "logrotate"), tmp_path) as repository:
        publish_nvidia(repository, tmp_path)
        publish_headers(repository, tmp_path)
        site = gpu_site(tmp_path / "here", host, repository, "nvidia")
        succeeded(site.invoke("provision"))
        again = succeeded(site.invoke("provision"))

    assert site.report()["hosts"][0]["outcome"] == "unchanged", again.text
    assert host.root("systemctl", "is-active", "nvidia-persistenced") == "active"
    assert "nvidia" in host.root("docker", "info", "--format", "{{.Runtimes}}")
    assert "nvidia-open" in host.root("apt-mark", "showhold")
