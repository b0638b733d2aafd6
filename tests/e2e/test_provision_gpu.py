"""A GPU host without a driver, provisioned from stand-ins of NVIDIA's packages (tests/support/gpu_packages.py)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.lab import image
from tests.support.fleet import Site, succeeded
from tests.support.gpu_packages import NEWER, gpu_site, publish_headers, publish_nvidia, see_h100
from tests.support.host_container import HostContainer, HostLab
from tests.support.package_site import Repository, installed, repository_of


@pytest.fixture(scope="module")
def host(lab: HostLab) -> HostContainer:
    here = lab.host("nv01", image.HOST)
    see_h100(here)
    return here


@pytest.fixture(scope="module")
def repository(host: HostContainer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """Debian's packages, and beside them the vendor's, all on the host's own network."""
    folder = tmp_path_factory.mktemp("repository")
    with repository_of(host, "bookworm", ("kmod", "pciutils", "python3-venv", "logrotate"), folder) as here:
        publish_nvidia(here, folder)
        publish_headers(here, folder)
        yield here


@pytest.fixture
def site(tmp_path: Path, host: HostContainer, repository: Repository) -> Site:
    return gpu_site(tmp_path, host, repository, "nvidia", diagnostics=True)


def version_of(host: HostContainer, name: str) -> str:
    return host.root("dpkg-query", "--show", "--showformat=${Version}", name)


def test_a_key_that_no_document_confirms_is_the_sites_to_bring(site: Site, host: HostContainer) -> None:
    site.set(repository_keys={})

    refused = site.invoke("provision")

    assert refused.exit_code == 2, refused.text
    assert "{nvidia-driver: FILE, nvidia-container-toolkit: FILE}" in refused.text
    assert installed(host, "nvidia-open") == ""


def test_a_host_without_such_a_card_gets_no_driver(site: Site, host: HostContainer) -> None:
    site.set(accelerator="amd", hardware="mi300x", repository_keys={"amd-driver": "/nowhere"})

    refused, deployed = site.invoke("provision"), site.invoke("deploy")

    assert refused.exit_code == 2, refused.text
    assert "there is no AMD GPU on the PCI bus" in refused.text
    assert deployed.exit_code == 5, deployed.text
    assert installed(host, "amdgpu-dkms") == ""


def test_check_tells_the_driver_and_installs_nothing(site: Site, host: HostContainer) -> None:
    told = succeeded(site.invoke("provision", "--check"))

    wanted = catalogs.load().provisioning.driver_versions["nvidia"]
    assert f"NVIDIA driver {wanted}" in told.text
    assert f"nvidia-open={wanted}*" in told.text
    assert "would change: gpu_driver: Foresee the driver" in told.text
    assert installed(host, "nvidia-open") == ""


def test_a_host_gets_driver_services_and_runtime_and_a_second_run_changes_nothing(
    site: Site, host: HostContainer
) -> None:
    wanted = catalogs.load().provisioning.driver_versions["nvidia"]

    succeeded(site.invoke("provision"))

    assert [version_of(host, name) for name in ("nvidia-open", "nvidia-driver-cuda")] == [f"{wanted}-1"] * 2
    for unit in ("nvidia-persistenced", "nvidia-dcgm", "nvidia-cdi-refresh.path"):
        assert host.root("systemctl", "is-active", unit) == "active"
        assert host.root("systemctl", "is-enabled", unit) == "enabled"
    assert "nvidia" in host.root("docker", "info", "--format", "{{.Runtimes}}")
    assert "blacklist nouveau" in host.root("cat", "/etc/modprobe.d/devstral-fleet-nouveau.conf")
    started = host.root("systemctl", "show", "docker", "--property=ActiveEnterTimestamp")

    again = succeeded(site.invoke("provision"))

    assert site.report()["hosts"][0]["outcome"] == "unchanged", again.text
    assert host.root("systemctl", "show", "docker", "--property=ActiveEnterTimestamp") == started
    assert "0 tasks would change something" in succeeded(site.invoke("provision", "--check")).text


def test_a_driver_that_answers_and_starts_no_program_is_found_and_is_not_measured(site: Site) -> None:
    """The stand-in of the driver has no CUDA library, so that a real `cuInit` cannot start."""
    looked = site.invoke("doctor")
    measured = site.invoke("doctor", "--acceptance", "quick")

    assert (looked.exit_code, measured.exit_code) == (5, 5), measured.text
    for said in (looked.text, measured.text):
        assert "CUDA does not start on the host: libcuda.so.1: cannot open shared object file" in said
    assert "the GPUs cannot be measured" in measured.text


@pytest.mark.soak
def test_no_upgrade_of_the_system_takes_the_driver_along_and_a_newer_one_is_not_taken_back(
    site: Site, host: HostContainer
) -> None:
    wanted = catalogs.load().provisioning.driver_versions["nvidia"]
    names = ["nvidia-open", "nvidia-kernel-open-dkms"]
    succeeded(site.invoke("provision"))
    assert set(names) <= set(host.root("apt-mark", "showhold").split())
    host.root("apt-get", "--yes", "--quiet", "dist-upgrade")
    assert version_of(host, "nvidia-kernel-open-dkms") == f"{wanted}-1"

    newer = [f"{name}={NEWER}-1" for name in (*names, "nvidia-driver-cuda", "nvidia-persistenced")]
    host.root("apt-get", "--yes", "--quiet", "--allow-change-held-packages", "install", *newer)
    succeeded(site.invoke("provision"))

    assert version_of(host, "nvidia-open") == f"{NEWER}-1"
    assert set(names) <= set(host.root("apt-mark", "showhold").split())


@pytest.mark.soak
def test_a_driver_that_does_not_load_is_named(site: Site, host: HostContainer) -> None:
    succeeded(site.invoke("provision"))
    loads = "/etc/modprobe.d/nvidia-stand-in.conf"
    own = host.root("cat", loads)
    host.put({loads: b"install nvidia /bin/false\n"}, 0o644)
    host.root("rm", "/run/nvidia-loaded")

    refused = site.invoke("provision")
    host.put({loads: own.encode() + b"\n"}, 0o644)
    mended = succeeded(site.invoke("provision"))

    assert refused.exit_code == 4, refused.text
    assert "modprobe" in refused.text
    assert site.report()["hosts"][0]["outcome"] == "provisioned", mended.text
