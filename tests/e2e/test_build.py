"""`invoke build` on this machine: what it makes, what ends it, where it goes; `invoke images --pin`.

The engine is the replay engine. What the product says is compared with what Docker itself says of the image.
"""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient
from docker.errors import ContainerError

from devstral_fleet.container import CACHE, IMAGE_USER
from tests.support.fleet import Ended, Site, succeeded
from tests.support.host_container import HostLab
from tests.support.image_bases import engine_base, published
from tests.support.registry import digest_in, registry

HEALTH = "/opt/devstral-fleet/healthcheck.sh"


@pytest.fixture(scope="module")
def client(lab: HostLab) -> DockerClient:
    return lab.client


@pytest.fixture
def site(tmp_path: Path, client: DockerClient, replay_requirements: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A CPU host that runs an image of ours with the replay engine; pip finds that in a folder of this machine."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(replay_requirements.parent))
    here = Site(tmp_path / "site", Path("/opt/devstral-fleet"), 30000)
    return here.set(runtime="container", image_base=engine_base(client), engine_requirements=str(replay_requirements))


@pytest.fixture(scope="module")
def registry_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


def built(ended: Ended) -> dict[str, Any]:
    """The one image of a --json build."""
    (one,) = succeeded(ended).document["images"]
    return dict(one)


def said(client: DockerClient, image: str, *words: str, **options: Any) -> str:
    """What a command prints in a container of the image."""
    return str(client.containers.run(image, list(words), remove=True, **options).decode()).strip()


def test_an_image_of_the_cpu_is_what_its_plan_says(site: Site, client: DockerClient) -> None:
    image = built(site.invoke("build", "--json"))
    planned = site.invoke("plan", "--json").document["local"]["image"]
    assert image["reference"] == planned["reference"]

    found = client.images.get(image["reference"])
    assert found.id == image["id"]
    config = found.attrs["Config"]
    assert config["User"] == f"{IMAGE_USER}:{IMAGE_USER}"
    assert f"HOME={CACHE}" in config["Env"]
    assert config["Healthcheck"]["StartPeriod"] == 300 * 10**9
    assert config["Labels"]["devstral-fleet.plan.reference"] == planned["reference"]
    assert config["Labels"]["org.opencontainers.image.base.name"] == planned["base"]
    assert json.loads(said(client, found.id, "cat", "/opt/devstral-fleet/versions.json"))["sglang"]
    assert said(client, found.id, "id", "-u") == str(IMAGE_USER)
    left = said(client, found.id, "sh", "-c", "ls -d /build /opt/engine/.complete 2>&1 || true")
    assert "/opt/engine/.complete" in left
    assert "'/build'" in left


@pytest.mark.soak
def test_it_is_built_once_and_check_builds_nothing(site: Site, client: DockerClient) -> None:
    base = f"fleet-base:{secrets.token_hex(6)}"
    client.images.get(published(client, "fleet-base:published")).tag(*base.split(":"))
    order = ("build", "--image=cuda13", f"--base={base}")
    foreseen = succeeded(site.invoke(*order, "--check"))
    assert "would be built on this machine" in foreseen.text

    first = built(site.invoke(*order, "--json"))
    again = succeeded(site.invoke(*order))
    client.images.remove(first["reference"])
    client.images.remove(base)
    assert first["built"] is True
    assert "was on this machine already" in again.text
    assert f"base image {base} is not pinned by digest" in again.text


def test_process_1_is_an_init_and_the_health_check_asks_the_engines_port(site: Site, client: DockerClient) -> None:
    image = built(site.invoke("build", "--json"))["reference"]
    assert said(client, image, "cat", "/proc/1/comm") == "tini"
    assert "init" in said(client, image, "cat", "/proc/1/comm", init=True)
    with pytest.raises(ContainerError) as caught:
        said(client, image, "sh", "-c", "kill -KILL $$")
    assert caught.value.exit_status == 137

    serve = "import http.server as h; h.HTTPServer(('127.0.0.1', 31999), h.SimpleHTTPRequestHandler).serve_forever()"
    words = [
        "sh",
        "-c",
        f'mkdir -p /tmp/w/health && cd /tmp/w && exec python3 -c "{serve}"',
        "engine",
        "--port",
        "31999",
    ]
    container = client.containers.run(image, words, detach=True)
    try:
        assert (
            container.exec_run(["curl", "--retry", "20", "--retry-connrefused", "-s", "http://127.0.0.1:31999"])[0] == 0
        )
        assert container.exec_run(["sh", HEALTH, "5", "30000"])[0] == 0
    finally:
        container.remove(force=True)


@pytest.mark.parametrize(("image", "period_s"), [("cuda13", 1800), ("rocm720-mi30x", 1800)])
def test_the_images_of_gpus_are_built_from_what_carries_sglang(
    site: Site, client: DockerClient, image: str, period_s: int
) -> None:
    base = published(client, "fleet-base:published")

    made = built(site.invoke("build", "--image", image, "--base", base, "--json"))

    config = client.images.get(made["reference"]).attrs["Config"]
    assert config["User"] == f"{IMAGE_USER}:{IMAGE_USER}"
    assert config["Healthcheck"]["StartPeriod"] == period_s * 10**9
    assert said(client, made["reference"], "python3", "-c", "import sglang, os; print(os.getcwd())") == CACHE


@pytest.mark.parametrize(("change", "reason"), [
    ({"transformers__metadata": b"Metadata-Version: 2.1\nName: transformers\nVersion: 4.57.1\n"},
     "transformers is 4.57.1, which breaks the constraint transformers>=5.0.0rc0"),
    ({"transformers__module": b"__version__ = '4.57.1'\n"}, "imports transformers 4.57.1, the models need 5.0.0rc0"),
    ({"sglang__metadata": b""}, "there is no SGLang in this image"),
])  # fmt: skip
def test_a_base_that_cannot_serve_the_models_ends_the_build(
    site: Site, client: DockerClient, change: dict[str, bytes], reason: str
) -> None:
    base = published(client, "fleet-base:broken", **change)

    refused = site.invoke("build", "--image", "cuda12", "--base", base)

    assert refused.exit_code == 4, refused.text
    assert reason in refused.text
    assert "build from an image with a newer SGLang" in refused.text or "no SGLang" in reason


@pytest.mark.soak
def test_pushed_it_is_in_the_registry_and_saved_it_loads_again(
    site: Site, client: DockerClient, registry_address: str, tmp_path: Path
) -> None:
    file = tmp_path / "image.tar"
    one = built(site.invoke("build", "--push", f"{registry_address}/team", "--save", str(file), "--json"))

    name, tag = one["reference"].split(":")
    digest = digest_in(registry_address, f"team/{name}", tag)
    assert one["pushed"] == f"{registry_address}/team/{one['reference']}@{digest}"
    assert one["saved"] == str(file)
    client.images.remove(one["reference"], force=True)
    with file.open("rb") as saved:
        (loaded,) = client.images.load(saved)
    assert (loaded.id, loaded.tags) == (one["id"], [one["reference"]])


def test_pins_are_what_the_registry_says_and_plans_and_builds_take_them(
    site: Site, client: DockerClient, registry_address: str
) -> None:
    name = f"{registry_address}/base"
    client.images.get(engine_base(client)).tag(name, "1")
    client.images.push(name, "1")
    site.set(image_base=f"{name}:1")

    pinned = succeeded(site.invoke("images", "--pin", "--json")).document

    digest = digest_in(registry_address, "base", "1")
    assert pinned["pins"] == {f"{name}:1": digest}
    assert site.invoke("plan", "--json").document["local"]["image"]["base"] == f"{name}:1@{digest}"
    made = succeeded(site.invoke("build", "--json"))
    assert "not pinned" not in made.text
    labels = client.images.get(built(made)["reference"]).labels
    for image in (built(made)["reference"], f"{name}:1"):
        client.images.remove(image)
    assert labels["org.opencontainers.image.base.digest"] == digest
    assert "as before" in succeeded(site.invoke("images", "--pin")).text


@pytest.mark.parametrize("name", ["127.0.0.1:1/base:1", "{registry}/nothing:1"])
def test_a_registry_that_gives_no_digest_is_named_and_nothing_is_kept(
    site: Site, registry_address: str, name: str
) -> None:
    wanted = name.format(registry=registry_address)
    refused = site.set(image_base=wanted).invoke("images", "--pin")
    assert refused.exit_code == 4, refused.text
    assert f"no registry gives a digest of {wanted}" in refused.text
    assert "fix: " in refused.text
    assert not (site.directory / "images.lock.yml").exists()


@pytest.mark.parametrize(("words", "reason"), [
    (("--image", "cuda14"), "did you mean cuda13"),
    (("--image", "cpu", "--host", "local"), "name an image or a host, one of the two"),
    (("--image", "cpu", "--push", "https://registry.example"), "--push takes a registry"),
    (("--image", "cpu", "--save", "/no/directory/file"), "there is no directory for --save"),
    (("--image", "cpu", "--on", "local", "--save", "file"), "leave --on out"),
])  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_built(site: Site, words: tuple[str, ...], reason: str) -> None:
    refused = site.invoke("build", *words)
    assert refused.exit_code == 2, refused.text
    assert reason in refused.text
