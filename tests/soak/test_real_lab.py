"""The lab and the real engine: the CPU image really built, three hosts, three endpoints that answer."""

import json
import os
from pathlib import Path

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet import lab as labs
from devstral_fleet.lab import Lab
from tests.support.fleet import INVOKE, Ended, Running, Site, succeeded
from tests.support.host_container import HostContainer, HostLab
from tests.support.image_bases import engine_base
from tests.support.systemd_host import healthy

pytestmark = pytest.mark.soak

COUNT = 3
BUILD_S = 1200.0
"""The image's packages come from the network the first time; later runs find the builder's steps."""
DEPLOY_S = 3600.0


def test_the_image_has_the_planned_engine_which_runs_as_its_user(lab: HostLab, tmp_path: Path) -> None:
    site = Site(tmp_path, Path("/opt/devstral-fleet"), 30000).set()
    building = site.start("build", "--image=cpu", f"--base={engine_base(lab.client)}", "--json")

    (image,) = succeeded(building.end(BUILD_S)).document["images"]

    def said(*words: str) -> str:
        return str(lab.client.containers.run(image["reference"], list(words), remove=True).decode())

    catalog = catalogs.load()
    versions = json.loads(said("cat", "/opt/devstral-fleet/versions.json"))
    assert versions["sglang"] == catalog.runtimes.sglang["cpu"]
    assert versions["transformers"] == catalog.engine(versions["sglang"]).transformers
    assert f"torch=={versions['torch']}" == catalog.runtimes.native["cpu"].torch
    assert "--tool-call-parser" in said("python3", "-m", "sglang.launch_server", "--help")


def test_lab_up_and_deploy_give_three_endpoints(lab: HostLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Lab(tmp_path / "lab")
    monkeypatch.setenv("FLEET_LAB", str(place.directory))
    monkeypatch.setenv("FLEET_RUNS", str(tmp_path / "runs"))
    asked = (f"--inventory={place.inventory}", "--host=lab")

    def invoke(*words: str) -> Ended:
        return succeeded(Running([str(INVOKE), *words], os.environ).end(DEPLOY_S))

    try:
        invoke("lab.up", "--hosts", str(COUNT))
        invoke("deploy", *asked)
        hosts = [HostContainer(**vars(host)) for host in labs.present(lab.client, place).values()]
        assert [healthy(host) for host in hosts] == [True] * COUNT
        assert all("sglang.launch_server" in host.root("docker", "ps", "--no-trunc") for host in hosts)
        assert invoke("deploy", "--no-bench", *asked).text.count("no playbook has to run") == COUNT
    finally:
        invoke("lab.down", "--keep-image")
    assert not labs.present(lab.client, place)
