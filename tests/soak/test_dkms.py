"""NVIDIA's open kernel modules as Debian packages them, built by the real DKMS for a real Debian kernel.

In a root of its own by mmdebstrap: no kernel is booted and no card is needed, and DKMS's own words are what `doctor`
and `provision` read. Ten minutes on two processors.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.lab.image import mirror
from devstral_fleet.probes import system

pytestmark = pytest.mark.soak

SUITES = {"debian-12": "bookworm"}
COMPONENTS = "main,contrib,non-free,non-free-firmware"
SAID = "dkms-status"
ASK = f'chroot "$1" dkms status >"$1/{SAID}"'
"""While the root still has its /proc, which DKMS needs."""
LIMIT_S = 3000


@pytest.fixture(scope="module", params=SUITES)
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root with the packages that the catalog names for that system's own driver, and the newest kernel's headers."""
    folder = tmp_path_factory.mktemp("dkms") / "root"
    names = ",".join(("linux-image-amd64", "linux-headers-amd64", *_packages(request.param)))
    own = ["--variant=minbase", f"--components={COMPONENTS}", f"--include={names}", f"--customize-hook={ASK}"]
    own.append('--aptopt=APT::Install-Recommends "0"')
    argv = ["mmdebstrap", "--mode=root", *own, SUITES[request.param], str(folder), mirror()]
    made = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
    assert made.returncode == 0, made.stderr[-4000:]
    yield folder
    shutil.rmtree(folder)


def _packages(name: str) -> tuple[str, ...]:
    return catalogs.load().provisioning.systems[name].nvidia


def test_the_distributions_driver_is_built_for_its_kernel(root: Path) -> None:
    (kernel,) = (path.name for path in (root / "lib" / "modules").iterdir())

    (line,) = [line for line in (root / SAID).read_text().splitlines() if line.startswith("nvidia")]
    found = system.BUILD.fullmatch(line)

    assert found, line
    assert (found[3], found[4]) == (kernel, "installed")
    # Debian calls it nvidia-current-open, or so; the driver's other modules have longer names.
    module = min((root / "lib" / "modules" / kernel).rglob("nvidia*.ko*"), key=lambda path: len(path.name))
    inside = f"/{module.relative_to(root)}"
    argv = ["chroot", str(root), "modinfo", "--field=version", inside]
    assert subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip() == found[2]
