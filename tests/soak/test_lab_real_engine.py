"""As a newcomer tries it: `lab.up --hosts 3`, then one deploy that ends with three real SGLang endpoints."""

import os
from pathlib import Path

import pytest

from devstral_fleet import lab as labs
from tests.support.fleet import INVOKE, Ended, Running, succeeded
from tests.support.host_container import HostContainer, HostLab
from tests.support.systemd_host import healthy

pytestmark = pytest.mark.soak
DEPLOY_S = 2400.0
"""The image is built, goes to three hosts, and three engines start and are measured, on this machine's cores."""


def invoke(directory: Path, *words: str) -> Ended:
    environment = {**os.environ, "FLEET_LAB": str(directory / "lab"), "FLEET_RUNS": str(directory / "runs")}
    return succeeded(Running([str(INVOKE), *words], environment).end(DEPLOY_S))


def test_three_lab_hosts_serve_the_real_engine(lab: HostLab, tmp_path: Path) -> None:
    there = labs.Lab(tmp_path / "lab")
    asked = ("--inventory", str(there.inventory), "--host", "lab")
    invoke(tmp_path, "lab.up", "--hosts", "3")
    try:
        deployed = invoke(tmp_path, "deploy", *asked)
        hosts = [HostContainer(**vars(host)) for host in labs.present(lab.client, there).values()]
        assert len(hosts) == 3
        assert all(map(healthy, hosts))
        assert all("sglang.launch_server" in host.root("docker", "ps", "--no-trunc") for host in hosts)
        assert "build done in" in deployed.text

        again = invoke(tmp_path, "deploy", "--no-bench", *asked)
        assert again.text.count("no playbook has to run") == 3

        rows = invoke(tmp_path, "status", "--json", *asked).document
        assert [row["state"] for row in rows] == ["serving"] * 3
    finally:
        invoke(tmp_path, "lab.down", "--keep-image")
    assert not labs.present(lab.client, there)
