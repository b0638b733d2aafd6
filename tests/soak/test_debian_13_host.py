"""A Debian 13 host with buildx, over SSH: it builds an image of ours by itself, and serves it.

The engine is the replay engine. The tests of Debian 12 hosts build with the classic builder.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from devstral_fleet.lab import image
from tests.support.engine.wheel import requirements
from tests.support.fleet import Site, succeeded
from tests.support.host_container import HostContainer, HostLab
from tests.support.image_bases import engine_base, engine_root
from tests.support.systemd_host import HOME, PORT, healthy, link

pytestmark = pytest.mark.soak

TRIXIE = replace(image.HOST, suite="trixie", packages=(*image.HOST.packages, "docker-cli", "docker-buildx"))


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
