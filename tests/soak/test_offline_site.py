"""A site without network: a bundle is made here, installed where only the loopback is, and deployed as anywhere."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import bundles
from tests.support.fleet import INVOKE, ROOT
from tests.support.ports import free_port

INSTALL_S = 600
DEPLOY_S = 900
NETWORK = ("PIP_", "HTTP", "http", "HTTPS", "https", "NO_PROXY", "no_proxy", "UV_")
SITE_PACKAGES = f"lib/python{bundles.HERE}/site-packages"


@dataclass(frozen=True)
class OfflineSite:
    """An installation, and commands in a network of its own that reaches nothing."""

    folder: Path
    home: Path
    network: int
    """Process whose network it is."""

    def run(
        self, *words: str, cwd: Path | None = None, timeout_s: int = DEPLOY_S
    ) -> "subprocess.CompletedProcess[str]":
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(NETWORK)}
        return subprocess.run(
            ["nsenter", f"--net=/proc/{self.network}/ns/net", *words],
            cwd=cwd or self.folder,
            env={**inherited, "HOME": str(self.home)},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
        )

    def invoke(self, *words: str) -> Any:
        """Run a verb with --json; its document, where it ended well."""
        done = self.run(".venv/bin/invoke", *words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def host(self, **keys: object) -> None:
        """Write what its host `local` should be."""
        path = self.folder / "inventory" / "host_vars" / "local.yml"
        written = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        path.write_text(json.dumps({**json.loads("\n".join(written)), **keys}))


@pytest.fixture(scope="module")
def network() -> Iterator[int]:
    """A process with a network of its own, which is the loopback."""
    words = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as alone:
        assert alone.stdout
        assert alone.stdout.readline() == "up\n"
        yield alone.pid
        alone.kill()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, network: int) -> OfflineSite:
    """An installation of a bundle that was made for this Python, in parts of 56 MiB."""
    folder = tmp_path_factory.mktemp("offline")
    words = [str(INVOKE), "bundle.create", "--python", bundles.HERE, "--part-size", "56MiB"]
    made = subprocess.run([*words, "--out", str(folder / "bundle")], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert all(path.stat().st_size <= 56 * 2**20 for path in (folder / "bundle").glob("*.part-*"))
    (folder / "home").mkdir()
    site = OfflineSite(folder / "site", folder / "home", network)
    program = str(folder / "bundle" / "install.py")
    done = site.run("python3", program, "--to", str(site.folder), cwd=folder, timeout_s=INSTALL_S)
    assert done.returncode == 0, done.stderr
    return site


@pytest.mark.soak
def test_it_is_deployed_by_the_same_command_as_any_other(site: OfflineSite) -> None:
    site.host(fleet_port=free_port(), fleet_home=str(site.home / "fleet"))
    try:
        (first,) = site.invoke("deploy", "--host", "local")["hosts"]
        assert (first["outcome"], [each for each in first["smoke"] if each["state"] == "fail"]) == ("deployed", [])
        assert first["bench"]
        (second,) = site.invoke("deploy", "--host", "local")["hosts"]
        assert second["outcome"] == "unchanged"
    finally:
        site.run(".venv/bin/invoke", "stop", "--host", "local")


@pytest.mark.soak
def test_what_the_hosts_own_python_has_is_not_brought_again(site: OfflineSite, tmp_path: Path) -> None:
    """The interpreter is a virtual environment itself: the first deploy's, whose torch is the one that is seen."""
    (base,) = (site.home / "fleet" / "environments").iterdir()
    (sglang,) = (site.folder / "wheels" / "engine").glob("sglang-*.whl")
    version = sglang.name.split("-")[1]
    lock = tmp_path / "engine.lock"
    lock.write_text(f"sglang=={version} --hash=sha256:{bundles.sha256(sglang)}\n")
    keys = {"fleet_engine_requirements": str(lock), "fleet_sglang_version": version, "fleet_port": free_port()}
    site.host(**keys, fleet_home=str(tmp_path / "fleet"), fleet_python=str(base / "bin" / "python"))
    try:
        site.host(fleet_host_torch="9.9.9+cpu")
        refused = site.run(".venv/bin/invoke", "deploy", "--host", "local", "--no-bench")
        assert refused.returncode == 4
        assert "is not the planned torch==9.9.9+cpu" in refused.stdout + refused.stderr

        found = [path.name for path in (base / SITE_PACKAGES).glob("torch-*.dist-info")]
        site.host(fleet_host_torch=found[0].removeprefix("torch-").removesuffix(".dist-info"))
        (host,) = site.invoke("deploy", "--host", "local", "--no-bench")["hosts"]
        assert host["outcome"] == "deployed"
        (complete,) = (tmp_path / "fleet" / "environments").glob("*/.complete")
        assert not (complete.parent / SITE_PACKAGES / "torch").exists()
    finally:
        site.run(".venv/bin/invoke", "stop", "--host", "local")
