"""An AMD host without a driver, provisioned from stand-ins of AMD's packages (tests/support/gpu_packages.py)."""

from pathlib import Path

import pytest

from devstral_fleet.lab import image
from tests.support.fleet import succeeded
from tests.support.gpu_packages import AMDGPU, gpu_site, publish_amd, publish_headers, see_mi300x
from tests.support.host_container import HostLab
from tests.support.package_site import repository_of

pytestmark = pytest.mark.soak

CHECKS = ("gpu-vendor", "gpu-driver", "gpu-container", "driver-hold")


def test_an_amd_host_gets_driver_groups_and_toolkit_and_a_second_run_changes_nothing(
    lab: HostLab, tmp_path: Path
) -> None:
    """On the way no headers of the running kernel are to be had, then /boot is full: each is named, and then mended."""
    host = lab.host("amd01", image.HOST)
    see_mi300x(host)
    assert "render" not in host.root("getent", "group")
    with repository_of(host, "bookworm", ("kmod", "pciutils", "python3-venv", "logrotate"), tmp_path) as repository:
        publish_amd(repository, tmp_path)
        site = gpu_site(tmp_path / "here", host, repository, "amd", amd_container_toolkit=True)

        refused = site.invoke("provision")
        assert refused.exit_code == 4, refused.text
        assert publish_headers(repository, tmp_path) in refused.text

        host.root("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/boot")
        refused = site.invoke("provision")
        assert refused.exit_code == 4, refused.text
        assert "No space left on device" in refused.text
        host.root("umount", "/boot")

        succeeded(site.invoke("provision"))
        assert AMDGPU in host.root("dpkg-query", "--show", "amdgpu-dkms")
        assert host.root("getent", "group", "render", "video").count("\n") == 1
        assert "amdgpu-dkms" in host.root("apt-mark", "showhold")
        assert "amd" in host.root("docker", "info", "--format", "{{.Runtimes}}")
        found = {each["check"]: each["state"] for each in site.invoke("doctor", "--json").document[host.name]}
        assert [found[name] for name in CHECKS] == ["ok"] * len(CHECKS)

        again = succeeded(site.invoke("provision"))
        assert site.report()["hosts"][0]["outcome"] == "unchanged", again.text
