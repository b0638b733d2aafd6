"""A bundle with an image and a model in it, made by the real verb of a real Docker engine, and installed."""

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.client import DockerClient

from tests.support import bundles
from tests.support.docker_engine import docker_engine
from tests.support.fleet import INVOKE, ROOT
from tests.support.host_container import CACHE

REFERENCE = "fleet-carried:site"
INSTALL_S = 600


@pytest.fixture
def engine() -> Iterator[DockerClient]:
    """This machine's engine with a small image in it."""
    root = io.BytesIO()
    with tarfile.open(fileobj=root, mode="w") as tar:
        member = tarfile.TarInfo("content")
        member.size = 2**20
        tar.addfile(member, io.BytesIO(b"x" * member.size))
    name, _, tag = REFERENCE.partition(":")
    with docker_engine(CACHE) as client:
        client.api.import_image_from_data(root.getvalue(), repository=name, tag=tag)
        yield client
        client.images.remove(REFERENCE)


@pytest.mark.soak
def test_an_image_and_a_model_reach_a_site_without_network(engine: DockerClient, tmp_path: Path) -> None:
    model = tmp_path / "tiny-1"
    model.mkdir()
    (model / ".complete").touch()
    (model / "config.json").write_text("{}")
    before = engine.images.get(REFERENCE).id
    words = [str(INVOKE), "bundle.create", "--for", "amd", "--python", bundles.HERE, "--part-size", "56MiB"]
    words += ["--images", REFERENCE, "--models", str(model), "--out", str(tmp_path / "bundle")]
    made = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=INSTALL_S)
    assert made.returncode == 0, made.stderr

    site, home = tmp_path / "site", tmp_path / "models"
    words = ["python3", str(tmp_path / "bundle" / "install.py"), "--to", str(site), "--models-to", str(home)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_S)

    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (home / "tiny-1").iterdir()) == [".complete", "config.json"]
    engine.images.remove(REFERENCE)
    engine.images.load((site / "images" / "0.tar").read_bytes())
    assert engine.images.get(REFERENCE).id == before
    keys = json.loads((site / "inventory" / "host_vars" / "local.yml").read_text().split("\n", 1)[1])
    assert {name: keys[name] for name in ("fleet_image", "fleet_runtime", "fleet_fetch")} == {
        "fleet_image": REFERENCE,
        "fleet_runtime": "container",
        "fleet_fetch": False,
    }
    assert list((site / "wheels").iterdir()) == [site / "wheels" / "toolkit"]
    listed = subprocess.run([".venv/bin/invoke", "--list"], cwd=site, capture_output=True, text=True, timeout=INSTALL_S)
    assert "deploy" in listed.stdout, listed.stderr
