"""Images of ours on a host over SSH: built there, built here and brought, by `build`, `images` and `deploy`.

The engine is the replay engine. What the product says is compared with what plain ssh sees of the host.
"""

from pathlib import Path

import pytest

from tests.support.fleet import Site, succeeded
from tests.support.host_container import HostContainer, HostLab
from tests.support.image_bases import engine_base, engine_root
from tests.support.systemd_host import HOME, PORT, healthy, link


@pytest.fixture(scope="module")
def container_host(lab: HostLab) -> HostContainer:
    """A host of these tests' own: others count the images of theirs."""
    return lab.host("gpu02")


@pytest.fixture(scope="module")
def builds(
    tmp_path_factory: pytest.TempPathFactory, lab: HostLab, container_host: HostContainer, replay_requirements: Path
) -> Site:
    """A site with that host, whose plan has an image of ours with the replay engine."""
    folder = tmp_path_factory.mktemp("site")
    here = Site(folder, HOME, PORT, host=container_host.name, connection=container_host.connection())
    base = engine_base(lab.client)
    return here.set(runtime="container", image_base=base, engine_requirements=str(replay_requirements))


@pytest.fixture(autouse=True)
def wheels_here(replay_requirements: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip on this machine finds the replay engine in a folder."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(replay_requirements.parent))


def planned(site: Site) -> str:
    """The planned image's name."""
    return str(site.invoke("plan", "--json").document[site.host]["image"]["reference"])


def of_the_host(host: HostContainer) -> list[str]:
    return host.root("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "devstral-fleet/*").split()


@pytest.mark.soak
def test_deploy_builds_what_exists_on_neither_side_and_serves_it(
    builds: Site, container_host: HostContainer, lab: HostLab
) -> None:
    builds.set(environment={"REPLAY_START_MS": "50"})
    for image in lab.client.images.list(planned(builds)):  # a test of builds, or an earlier run, may have made it
        lab.client.images.remove(image.id, force=True)
    foreseen = succeeded(builds.invoke("deploy", "--check"))
    assert f"brought {planned(builds)}" in foreseen.text
    assert not lab.client.images.list(planned(builds))

    deployed = succeeded(builds.invoke("deploy", "--no-bench"))

    assert "build done in" in deployed.text
    assert "not pinned by digest" in deployed.text
    assert planned(builds) in of_the_host(container_host)
    assert link(container_host, "serving") == link(container_host, "current") != ""
    assert healthy(container_host)
    again = succeeded(builds.invoke("deploy", "--no-bench"))
    assert "unchanged" in again.text
    assert "build done" not in again.text


@pytest.mark.soak
def test_images_brings_the_next_one_and_leaves_alone_what_serves(
    builds: Site, container_host: HostContainer, tmp_path: Path
) -> None:
    serving = link(container_host, "serving")
    pem = tmp_path / "site.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    builds.set(ca_bundle=str(pem))
    try:
        foreseen = succeeded(builds.invoke("images", "--check"))
        assert planned(builds) not in of_the_host(container_host)
        brought = succeeded(builds.invoke("images"))
        again = succeeded(builds.invoke("images"))
        assert planned(builds) in of_the_host(container_host)
    finally:
        builds.set(ca_bundle=None)
    assert "1 tasks would change something" in foreseen.text
    assert "brought" in brought.text
    assert "was there already; nothing was sent" in again.text
    assert link(container_host, "serving") == serving
    assert healthy(container_host)


@pytest.mark.soak
def test_a_host_builds_by_itself_and_keeps_nothing_of_the_build(
    builds: Site, container_host: HostContainer, lab: HostLab
) -> None:
    own = engine_base(lab.client).replace("engine-base", "engine-base-there")
    container_host.load_image(engine_root(), own)
    builds.set(image_base=own)
    try:
        foreseen = succeeded(builds.invoke("build", f"--host={builds.host}", f"--on={builds.host}", "--check"))
        built = succeeded(builds.invoke("build", f"--host={builds.host}", f"--on={builds.host}"))
        again = succeeded(builds.invoke("build", f"--host={builds.host}", f"--on={builds.host}"))
        assert planned(builds) in of_the_host(container_host)
        assert not lab.client.images.list(planned(builds))
    finally:
        builds.set(image_base=engine_base(lab.client))
    assert "would be built on gpu02" in foreseen.text
    assert "built on gpu02" in built.text
    assert "was on gpu02 already" in again.text
    assert container_host.root("sh", "-c", "ls /var/tmp/devstral-fleet-build-* 2>/dev/null || true") == ""


@pytest.mark.soak
def test_without_an_engine_here_nothing_is_built_and_it_says_so(
    builds: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    refused = builds.set(health_deadline_s=77).invoke("build", f"--host={builds.host}")
    builds.set(health_deadline_s=None)
    assert refused.exit_code == 2, refused.text
    assert "this machine's Docker engine does not answer" in refused.text
