"""GPUs on the PCI bus, by sysfs: it needs no driver and no lspci. One POSIX script, no root."""

import re
from typing import Literal

from devstral_fleet.facts import PciDevice
from devstral_fleet.probes import output, place
from devstral_fleet.shell import Shell

VENDORS: dict[str, Literal["nvidia", "amd"]] = {"10de": "nvidia", "1002": "amd"}
"""Vendors' numbers on the PCI bus."""
# An H100 is a 3D controller (class 0302), an MI300X a processing accelerator (1200), a desktop's card a display (0300).
SCRIPT = r"""
get() { eval "$1="; { read -r "$1" <"$2"; } 2>/dev/null; }
for folder in "$root"/sys/bus/pci/devices/*; do
    get class "$folder/class"
    case $class in 0x03*|0x1200*) ;; *) continue ;; esac
    get vendor "$folder/vendor"; get device "$folder/device"
    driver=$(sed -n 's/^DRIVER=//p' "$folder/uevent" 2>/dev/null)
    echo "gpu ${folder##*/} $class $vendor $device $driver"
done
echo end
"""
LINE = re.compile(r"gpu (\S+) 0x([0-9a-f]{4})[0-9a-f]{2} 0x([0-9a-f]{4}) 0x([0-9a-f]{4}) (\S*)")


def command() -> list[str]:
    """Words of the probe; the script itself goes to standard input."""
    return ["sh", "-s"]


def read(shell: Shell) -> tuple[PciDevice, ...]:
    """List a host's GPUs, in the order of their addresses.

    Raises:
        ProbeError: the script failed or printed something else.
    """
    return parse(output.run(shell, "pci", command(), stdin=place.SCRIPT + SCRIPT))


def parse(text: str) -> tuple[PciDevice, ...]:
    """Read the script's lines; devices of other vendors, such as a board's own display, are left out."""
    *lines, last = text.splitlines() or [""]
    found = [LINE.fullmatch(line) for line in lines]
    if last != "end" or not all(found):
        raise output.unreadable("pci", "lines of another form", text)
    devices = [_device(*match.groups()) for match in found if match and match[3] in VENDORS]
    return tuple(sorted(devices, key=lambda device: device.address))


def _device(address: str, kind: str, vendor: str, device: str, driver: str) -> PciDevice:
    return PciDevice(address=address, vendor=VENDORS[vendor], kind=kind, id=f"{vendor}:{device}", driver=driver)
