"""A model's files on a host of the container runtime: the real client runs in a container of the engine's image."""

import hashlib
import io
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.client import DockerClient

from devstral_fleet import weights
from tests.support.fleet import Running, Site, succeeded, until
from tests.support.host_container import HostContainer, HostLab
from tests.support.hub_client import with_hub_client
from tests.support.hub_model import CONTENT, LARGE_BYTES, NAMES, WEIGHTS, pin_of
from tests.support.hub_server import REPOSITORY, Hub, serving
from tests.support.ports import free_port
from tests.support.replay_image import PLACE, packed_context, replay_image
from tests.support.systemd_host import HOME

pytestmark = pytest.mark.soak

TOKEN = "hf_" + "abcdefghijklmnopqrstuvwx"
A_TRICKLE = LARGE_BYTES // 600
COMING_S = 180.0
ENDED_S = 30.0


def image_with_client(client: DockerClient, wheels: Path) -> str:
    """Build the replay image with the hub's client in it, as SGLang's own has it; return its name."""
    with_hub_client(wheels)
    files = {"Dockerfile": f"FROM {replay_image(client)}\nCOPY site/ {PLACE}/\n".encode()}
    for wheel in wheels.glob("*.whl"):
        if wheel.name.startswith(("sglang-", "torch-", "transformers-")):
            continue
        with zipfile.ZipFile(wheel) as opened:
            files |= {f"site/{name}": opened.read(name) for name in opened.namelist() if not name.endswith("/")}
    packed = io.BytesIO(packed_context(files))
    built, _ = client.images.build(fileobj=packed, custom_context=True, tag="fleet-replay:hub-client", rm=True)
    return str(built.tags[0])


@pytest.fixture
def hub(container_host: HostContainer) -> Iterator[Hub]:
    """A hub that asks for a token; the host reaches it at its own loopback, through ssh."""
    with serving(Hub(CONTENT, token=TOKEN)) as here:
        port, there = here.endpoint.rpartition(":")[2], free_port()
        options = ["-N", "-o", "ExitOnForwardFailure=yes", "-R", f"{there}:127.0.0.1:{port}"]
        ssh, *where = container_host.ssh_argv()
        tunnel = subprocess.Popen([ssh, *options, *where])
        here.endpoint = f"http://127.0.0.1:{there}"
        try:
            yield here
        finally:
            tunnel.terminate()
            tunnel.wait(10)


@pytest.fixture(scope="module")
def shared(container_site: Site, lab: HostLab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    image = image_with_client(lab.client, tmp_path_factory.mktemp("wheels"))
    return container_site.set(accelerator="nvidia", hardware="h100", model="devstral-small-2", image=image)


@pytest.fixture
def here(shared: Site, hub: Hub, container_host: HostContainer, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site with this test's hub, whose revision is pinned; no model is there."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    container_host.root("sh", "-c", f"rm -rf {HOME}/models/* {HOME}/downloads/*")
    (shared.directory / weights.FILE).write_text(weights.written({REPOSITORY: pin_of(hub)}))
    return shared.set(hub=hub.endpoint)


def containers(host: HostContainer) -> str:
    return host.root("docker", "ps", "--quiet")


def coming(here: Site, hub: Hub, host: HostContainer) -> Running:
    """Start to bring the files; the weights are on their way into a container when this returns."""
    running = here.start("models")
    until(lambda: WEIGHTS in hub.sending, COMING_S, "the weights come")
    assert containers(host)
    return running


def is_whole(hub: Hub, host: HostContainer) -> bool:
    folder = f"{HOME}/models/devstral-small-2-{hub.revision[:12]}"
    assert weights.MANIFEST in host.root("ls", "-A", folder).split()
    sums = host.root("sh", "-c", f"cd {folder} && sha256sum {' '.join(NAMES)}").splitlines()
    return sums == [f"{hashlib.sha256(hub.files[name]).hexdigest()}  {name}" for name in NAMES]


def test_it_comes_whole_and_its_token_is_in_no_command_and_no_file(
    here: Site, hub: Hub, container_host: HostContainer
) -> None:
    hub.bytes_a_second = LARGE_BYTES // 4
    running = coming(here, hub, container_host)
    assert TOKEN not in container_host.root("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    ended = running.end()
    assert ended.exit_code == 0, ended.text
    assert "its files are there, each checked" in ended.text
    assert is_whole(hub, container_host)
    assert "all 4 files are what the hub said" in succeeded(here.invoke("models", "--verify")).text
    assert container_host.ssh("sudo", "grep", "-rqF", TOKEN, str(HOME)).returncode == 1


def test_it_goes_on_without_its_controller_and_is_joined(here: Site, hub: Hub, container_host: HostContainer) -> None:
    hub.bytes_a_second = A_TRICKLE
    coming(here, hub, container_host).kill()
    joined = here.start("models")
    joined.wait_for("on their way already")
    hub.bytes_a_second = 0
    succeeded(joined.end())
    assert is_whole(hub, container_host)
    gets = [path for method, path, _ in hub.asked if method == "GET"]
    assert len(gets) == len(set(gets)) == len(NAMES), "each file was fetched once"


def test_ctrl_c_ends_its_container(here: Site, hub: Hub, container_host: HostContainer) -> None:
    hub.bytes_a_second = A_TRICKLE
    running = coming(here, hub, container_host)
    running.interrupt()
    assert running.end().exit_code == 130
    until(lambda: not containers(container_host), ENDED_S, "its container has ended")
    hub.bytes_a_second = 0
    succeeded(here.invoke("models"))
    assert is_whole(hub, container_host)
