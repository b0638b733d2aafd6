"""Stand-ins of NVIDIA's and AMD's packages in signed repositories of a test, and cards that a host sees on its bus.

They have the names, versions, dependencies, units and programs of the real ones; loading a module leaves a mark, by
which nvidia-smi answers with a real H100's answer (devstral_fleet/lab/recorded/h100.xml), or with what it says where no
driver is loaded. modprobe, dpkg, apt, systemd and Docker are real.
"""

import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devstral_fleet import catalog as catalogs
from tests.support.fleet import Site
from tests.support.host_container import HostContainer
from tests.support.package_site import Repository, publish, publish_flat, stand_in
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
RUNTIME = '#!/bin/sh\nexec runc "$@"\n'
HARDWARE = {"nvidia": "h100", "amd": "mi300x"}
UNITS = "/usr/lib/systemd/system"
CDI = {
    f"{UNITS}/nvidia-cdi-refresh.path": "[Path]\nPathChanged=/lib/modules\n[Install]\nWantedBy=multi-user.target\n",
    f"{UNITS}/nvidia-cdi-refresh.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
}


def _driver(folder: Path, version: str) -> list[Path]:
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


def see_card(host: HostContainer, kind: str, vendor: str, device: str) -> None:
    """Let the host see a card: sysfs cannot be written, so a folder is mounted there."""
    card = {"class": kind, "vendor": vendor, "device": device}
    host.put({f"/srv/pci/0000:00:06.0/{name}": f"{value}\n".encode() for name, value in card.items()}, 0o644)
    host.root("mount", "--bind", "/srv/pci", "/sys/bus/pci/devices")


def see_h100(host: HostContainer) -> None:
    see_card(host, "0x030200", "0x10de", "0x2330")


def see_mi300x(host: HostContainer) -> None:
    """Let the host see a card of AMD's, and take a folder for the modules that it has loaded."""
    see_card(host, "0x120000", "0x1002", "0x74a1")
    host.root("mkdir", "/srv/module")
    host.root("mount", "--bind", "/srv/module", "/sys/module")


def publish_headers(repository: Repository, folder: Path) -> str:
    """Add the headers of the running kernel, and sign the repository anew; return the package's name."""
    name = f"linux-headers-{platform.release()}"
    repository.packages.append(stand_in(folder, name, "1.0"))
    repository.sign(repository.signer)
    return name


def publish_nvidia(repository: Repository, folder: Path) -> None:
    """Put the driver in two versions, DCGM and the container toolkit beside Debian's packages."""
    wanted = catalogs.load().provisioning.driver_versions["nvidia"]
    packages = [*_driver(folder / "wanted", wanted), *_driver(folder / "newer", NEWER)]
    dcgm = {f"{UNITS}/nvidia-dcgm.service": SERVICE}
    packages.append(stand_in(folder / "wanted", "datacenter-gpu-manager-4-cuda13", "1:4.5.2-1", files=dcgm))
    publish_flat(repository.root / "nvidia", _named_by_version(packages, folder / "named"), repository.signer)
    tools = {"/usr/bin/nvidia-ctk": CTK, "/usr/bin/nvidia-container-runtime": RUNTIME}
    tools["/usr/bin/nvidia-container-runtime-hook"] = "#!/bin/sh\n"
    toolkit = stand_in(folder, "nvidia-container-toolkit", "1.18.0-1", files=tools | CDI)
    publish_flat(repository.root / "nvidia-toolkit", [toolkit], repository.signer)


def publish_amd(repository: Repository, folder: Path) -> None:
    """Put the driver and the container toolkit beside Debian's packages."""
    loads = {"/etc/modprobe.d/amdgpu-stand-in.conf": AMD_LOADS}
    version = f"1:{AMDGPU}.30300300-2278356.22.04"
    driver = stand_in(folder, "amdgpu-dkms", version, "kmod", postinst=RAMDISK, files=loads)
    publish(repository.root / "amd", "jammy", [driver], repository.signer)
    tools = {"/usr/bin/amd-ctk": AMD_CTK, "/usr/bin/amd-container-runtime": RUNTIME}
    toolkit = stand_in(folder, "amd-container-toolkit", "1.3.0", files=tools)
    publish(repository.root / "amd-toolkit", "jammy", [toolkit], repository.signer)


def gpu_site(folder: Path, host: HostContainer, repository: Repository, vendor: str, **keys: Any) -> Site:
    """A site that has checked the vendor's keys, and has mirrors of its repositories."""
    folder.mkdir(exist_ok=True)
    key = folder / "site.asc"
    key.write_bytes(repository.signer.public)
    names: Mapping[str, str] = {f"{vendor}-driver": vendor, f"{vendor}-container-toolkit": f"{vendor}-toolkit"}
    here = Site(folder / "site", HOME, PORT, host=host.name, connection=host.connection())
    here.set(runtime="container", accelerator=vendor, hardware=HARDWARE[vendor], model="devstral-small-2", gpu_count=1)
    here.set(repositories={name: f"{repository.url}/{path}" for name, path in names.items()})
    return here.set(repository_keys=dict.fromkeys(names, str(key)), **keys)


def _named_by_version(packages: list[Path], folder: Path) -> list[Path]:
    """Rename packages of equal names from several folders by those, so that one pool can hold them."""
    folder.mkdir()
    return [path.rename(folder / f"{path.parent.name}-{path.name}") for path in packages]
