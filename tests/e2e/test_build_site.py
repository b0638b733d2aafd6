"""A build behind a site's proxy, certificates, package index and mirror, and an image that runs behind them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.client import DockerClient

from tests.support.fleet import Site, succeeded
from tests.support.host_container import HostLab
from tests.support.https_site import HOST, HttpsSite, https_site
from tests.support.image_bases import engine_base

PIP = ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "PIP_NO_INDEX", "SSL_CERT_FILE")


@pytest.fixture(scope="module")
def client(lab: HostLab) -> DockerClient:
    return lab.client


@pytest.fixture
def behind(tmp_path: Path, replay_requirements: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpsSite]:
    """This machine as the site has it: pip asks the site's index alone, by the site's proxy."""
    with https_site(tmp_path, replay_requirements.parent) as here:
        for name in PIP:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", here.index)
        monkeypatch.setenv("HTTPS_PROXY", here.proxy)
        monkeypatch.setenv("HTTP_PROXY", here.proxy)
        yield here


@pytest.fixture
def site(tmp_path: Path, client: DockerClient, replay_requirements: Path) -> Site:
    """A CPU host whose engine's requirements name no place: they come from wherever pip is told."""
    own = tmp_path / "own.lock"
    lines = replay_requirements.read_text().splitlines()
    own.write_text("\n".join(line for line in lines if not line.startswith("--")) + f"\n# {tmp_path}\n")
    here = Site(tmp_path / "site", Path("/opt/devstral-fleet"), 30000)
    return here.set(runtime="container", image_base=engine_base(client), engine_requirements=str(own))


def asks_the_index(client: DockerClient, image: str, here: HttpsSite) -> int:
    """Exit status of a client in a container of the image that asks the index by the proxy."""
    words = ["curl", "--silent", "--output", "/dev/null", "--proxy", here.proxy, here.index]
    container = client.containers.run(image, words, detach=True, network_mode="host")
    try:
        return int(container.wait()["StatusCode"])
    finally:
        container.remove(force=True)


@pytest.mark.soak
def test_without_the_sites_certificates_the_build_fails_and_says_so(site: Site, behind: HttpsSite) -> None:
    refused = site.invoke("build")
    assert refused.exit_code == 4, refused.text
    assert "No matching distribution found" in refused.text
    assert any("certificate" in path.read_text().lower() for path in site.runs.glob("*/build.log"))
    assert behind.asked_of_proxy


@pytest.mark.soak
def test_pips_own_certificates_lead_to_the_index_and_do_not_stay(
    site: Site, behind: HttpsSite, client: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CERT", str(behind.authority))

    image = succeeded(site.invoke("build", "--json")).document["images"][0]["reference"]

    assert set(behind.asked_of_proxy) == {f"{HOST}:443"}
    assert any(re.search(r"GET /wheels/sglang/.*\.whl", line) for line in behind.asked_of_index)
    assert asks_the_index(client, image, behind) == 60  # curl: the peer's certificate is not known
    history = str(client.images.get(image).history())
    assert behind.proxy not in history
    assert HOST not in history


@pytest.mark.soak
def test_the_inventorys_certificates_are_trusted_in_the_build_and_by_what_runs(
    site: Site, behind: HttpsSite, client: DockerClient
) -> None:
    site.set(ca_bundle=str(behind.authority))

    image = succeeded(site.invoke("build", "--json")).document["images"][0]["reference"]

    assert asks_the_index(client, image, behind) == 0
    ask = f"import urllib.request as r; print(r.urlopen('{behind.index}', timeout=20).status)"
    proxies = {"https_proxy": behind.proxy}
    told = client.containers.run(image, ["python3", "-c", ask], environment=proxies, network_mode="host", remove=True)
    assert told.strip() == b"200"


def test_the_sites_mirror_is_asked_in_place_of_the_images_own(
    site: Site, behind: HttpsSite, client: DockerClient
) -> None:
    """A base that lacks something makes the build ask; what the mirror refuses is the reason that is shown."""
    site.set(image_base=_without_tini(client), apt_mirror="http://mirror.site.test/packages")

    refused = site.invoke("build")

    assert refused.exit_code == 4, refused.text
    asked = [
        address for address in behind.asked_of_proxy if address.startswith("http://mirror.site.test/packages/dists/")
    ]
    assert asked
    assert "E: " in refused.text


def test_a_mirrors_password_is_refused(site: Site) -> None:
    refused = site.set(apt_mirror="http://me:hidden@mirror.site.test/packages").invoke("build")
    assert refused.exit_code == 2, refused.text
    assert "holds a password, which would stand in the image's history" in refused.text
    assert "hidden" not in refused.text


def _without_tini(client: DockerClient) -> str:
    """The base without one of its packages, as a published image may lack it."""
    container = client.containers.run(engine_base(client), ["dpkg", "--purge", "tini"], detach=True)
    try:
        assert container.wait()["StatusCode"] == 0
        container.commit("fleet-base", "without-tini")
    finally:
        container.remove(force=True)
    return "fleet-base:without-tini"
