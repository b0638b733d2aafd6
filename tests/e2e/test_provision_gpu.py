"""A GPU host without a driver, provisioned from stand-ins of the vendors' packages in signed repositories of the test.

The stand-ins have the names, versions, dependencies, units and programs of the real ones; loading the module leaves a
mark, by which nvidia-smi answers with a real H100's answer (devstral_fleet/lab/recorded/h100.xml) or with what it says
where no driver is loaded. modprobe, dpkg, apt, systemd and Docker are real.
"""

import platform
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.lab import image
from tests.support.fleet import Site, succeeded
from tests.support.host_container import HostContainer, HostLab
from tests.support.package_site import Repository, installed, publish, publish_flat, repository_of, stand_in
from tests.support.systemd_host import HOME, PORT
from tests.support.tree import ROOT

NEWER = "610.57.04"
"""A branch that the repository has too, and that nobody has asked for."""
RECORDED = ROOT / "devstral_fleet" / "lab" / "recorded" / "h100.xml"
SMI = """#!/bin/sh
if [ ! -e /run/nvidia-loaded ]; then
    echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    exit 9
fi
case $1 in
    -q) cat /usr/share/nvidia-stand-in.xml ;;
    *) echo 'GPU 0: NVIDIA H100 80GB HBM3' ;;
esac
"""
CTK = """#!/bin/sh
[ "$*" = 'runtime configure --runtime=docker' ] || exit 2
mkdir -p /etc/docker
exec python3 - <<'END'
import json, pathlib
file = pathlib.Path("/etc/docker/daemon.json")
known = json.loads(file.read_text()) if file.exists() else {}
known.setdefault("runtimes", {})["nvidia"] = {"path": "nvidia-container-runtime", "args": []}
file.write_text(json.dumps(known))
END
"""
SERVICE = """[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""
AMD_CTK = CTK.replace("runtime configure --runtime=docker", "runtime configure").replace("nvidia", "amd")
AMDGPU = "6.16.13"
AMD_LOADS = f"""install amdgpu /bin/sh -c 'mkdir -p /srv/module/amdgpu /dev/dri; \\
echo {AMDGPU} >/srv/module/amdgpu/version; touch /dev/kfd /dev/dri/renderD128'
"""
RAMDISK = "head --bytes 3M /dev/zero >/boot/initrd.img-stand-in"
"""As DKMS's packages do it: the initial RAM disk is written anew, and needs its room."""
UNITS = "/usr/lib/systemd/system"
CDI = {
    f"{UNITS}/nvidia-cdi-refresh.path": "[Path]\nPathChanged=/lib/modules\n[Install]\nWantedBy=multi-user.target\n",
    f"{UNITS}/nvidia-cdi-refresh.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
}


def driver(folder: Path, version: str) -> list[Path]:
    """Make NVIDIA's packages of one version: the one to ask for depends on the others in that very version."""
    folder.mkdir()
    full, log = f"{version}-1", re.sub(r"(?<=<driver_version>)[^<]*", version, RECORDED.read_text())
    others = ("nvidia-kernel-open-dkms", "nvidia-driver-cuda")
    loads = {"/etc/modprobe.d/nvidia-stand-in.conf": "install nvidia /usr/bin/touch /run/nvidia-loaded\n"}
    programs = {"/usr/bin/nvidia-smi": SMI, "/usr/share/nvidia-stand-in.xml": log}
    unit = {f"{UNITS}/nvidia-persistenced.service": SERVICE}
    return [
        stand_in(folder, "nvidia-open", full, ", ".join(f"{name} (>= {full})" for name in others)),
        stand_in(folder, "nvidia-kernel-open-dkms", full, "kmod", files=loads),
        stand_in(folder, "nvidia-driver-cuda", full, f"nvidia-persistenced (>= {full})", files=programs),
        stand_in(folder, "nvidia-persistenced", full, files=unit),
    ]


@pytest.fixture(scope="module")
def host(lab: HostLab) -> HostContainer:
    """A host on whose PCI bus a card is seen: sysfs cannot be written, so a folder is mounted there."""
    here = lab.host("nv01", image.HOST)
    card = {"class": "0x030200", "vendor": "0x10de", "device": "0x2330"}
    here.put({f"/srv/pci/0000:00:06.0/{name}": f"{value}\n".encode() for name, value in card.items()}, 0o644)
    here.root("mount", "--bind", "/srv/pci", "/sys/bus/pci/devices")
    return here


@pytest.fixture(scope="module")
def repository(host: HostContainer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """Debian's packages, and beside them the vendor's, all on the host's own network."""
    folder = tmp_path_factory.mktemp("repository")
    with repository_of(host, "bookworm", ("kmod", "pciutils", "python3-venv", "logrotate"), folder) as here:
        version = catalogs.load().provisioning.driver_versions["nvidia"]
        packages = [*driver(folder / "wanted", version), *driver(folder / "newer", NEWER)]
        dcgm = {f"{UNITS}/nvidia-dcgm.service": SERVICE}
        packages.append(stand_in(folder / "wanted", "datacenter-gpu-manager-4-cuda13", "1:4.5.2-1", files=dcgm))
        publish_flat(here.root / "nvidia", _named_by_version(packages, folder / "named"), here.signer)
        tools = {"/usr/bin/nvidia-ctk": CTK, "/usr/bin/nvidia-container-runtime": '#!/bin/sh\nexec runc "$@"\n'}
        tools["/usr/bin/nvidia-container-runtime-hook"] = "#!/bin/sh\n"
        toolkit = stand_in(folder, "nvidia-container-toolkit", "1.18.0-1", files=tools | CDI)
        publish_flat(here.root / "toolkit", [toolkit], here.signer)
        headers = stand_in(folder, f"linux-headers-{platform.release()}", "1.0")
        here.packages.append(headers)
        here.sign(here.signer)
        yield here


def _named_by_version(packages: list[Path], folder: Path) -> list[Path]:
    """Rename packages of equal names from several folders by those, so that one pool can hold them."""
    folder.mkdir()
    return [path.rename(folder / f"{path.parent.name}-{path.name}") for path in packages]


@pytest.fixture
def site(tmp_path: Path, host: HostContainer, repository: Repository) -> Site:
    """A site that has checked the vendor's keys, and has mirrors of its repositories."""
    key = tmp_path / "site.asc"
    key.write_bytes(repository.signer.public)
    names = {"nvidia-driver": "nvidia", "nvidia-container-toolkit": "toolkit"}
    here = Site(tmp_path / "site", HOME, PORT, host=host.name, connection=host.connection())
    here.set(
        diagnostics=True,
        runtime="container",
        accelerator="nvidia",
        hardware="h100",
        gpu_count=1,
        model="devstral-small-2",
    )
    here.set(repositories={name: f"{repository.url}/{path}" for name, path in names.items()})
    return here.set(repository_keys=dict.fromkeys(names, str(key)))


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


@pytest.fixture
def amd_host(lab: HostLab, repository: Repository, tmp_path: Path) -> HostContainer:
    """A host on whose bus an MI300X is seen, and whose loaded modules are a folder; AMD's packages are in its reach."""
    here = lab.host("amd01", image.HOST)
    card = {"class": "0x120000", "vendor": "0x1002", "device": "0x74a1"}
    here.put({f"/srv/pci/0000:05:00.0/{name}": f"{value}\n".encode() for name, value in card.items()}, 0o644)
    here.root("mkdir", "/srv/module")
    here.root("mount", "--bind", "/srv/pci", "/sys/bus/pci/devices")
    here.root("mount", "--bind", "/srv/module", "/sys/module")
    repository.given_to(here)
    loads = {"/etc/modprobe.d/amdgpu-stand-in.conf": AMD_LOADS}
    version = f"1:{AMDGPU}.30300300-2278356.22.04"
    packages = [stand_in(tmp_path, "amdgpu-dkms", version, "kmod", postinst=RAMDISK, files=loads)]
    publish(repository.root / "amdgpu", "jammy", packages, repository.signer)
    tools = {"/usr/bin/amd-ctk": AMD_CTK, "/usr/bin/amd-container-runtime": '#!/bin/sh\nexec runc "$@"\n'}
    packages = [stand_in(tmp_path, "amd-container-toolkit", "1.3.0", files=tools)]
    publish(repository.root / "amd-toolkit", "jammy", packages, repository.signer)
    return here


@pytest.mark.soak
def test_an_amd_host_gets_driver_groups_and_toolkit_and_a_second_run_changes_nothing(
    amd_host: HostContainer, repository: Repository, tmp_path: Path
) -> None:
    """On the way no headers of the running kernel are to be had, then /boot is full: each is named, and then mended."""
    (tmp_path / "site.asc").write_bytes(repository.signer.public)
    names = {"amd-driver": "amdgpu", "amd-container-toolkit": "amd-toolkit"}
    site = Site(tmp_path / "site", HOME, PORT, host=amd_host.name, connection=amd_host.connection())
    site.set(runtime="container", accelerator="amd", hardware="mi300x", model="devstral-small-2", gpu_count=1)
    site.set(repositories={name: f"{repository.url}/{path}" for name, path in names.items()})
    site.set(repository_keys=dict.fromkeys(names, str(tmp_path / "site.asc")), amd_container_toolkit=True)
    assert "render" not in amd_host.root("getent", "group")

    headers = f"linux-headers-{platform.release()}"
    with repository.without(headers):
        refused = site.invoke("provision")
        assert refused.exit_code == 4, refused.text
        assert headers in refused.text
    amd_host.root("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/boot")
    refused = site.invoke("provision")
    assert refused.exit_code == 4, refused.text
    assert "No space left on device" in refused.text
    amd_host.root("umount", "/boot")
    succeeded(site.invoke("provision"))

    assert version_of(amd_host, "amdgpu-dkms").startswith(f"1:{AMDGPU}.")
    assert amd_host.root("getent", "group", "render", "video").count("\n") == 1
    assert "amdgpu-dkms" in amd_host.root("apt-mark", "showhold")
    assert "amd" in amd_host.root("docker", "info", "--format", "{{.Runtimes}}")
    found = {each["check"]: each["state"] for each in site.invoke("doctor", "--json").document[amd_host.name]}
    assert {name: found[name] for name in ("gpu-vendor", "gpu-driver", "gpu-container", "driver-hold")} == {
        "gpu-vendor": "ok",
        "gpu-driver": "ok",
        "gpu-container": "ok",
        "driver-hold": "ok",
    }

    again = succeeded(site.invoke("provision"))

    assert site.report()["hosts"][0]["outcome"] == "unchanged", again.text
