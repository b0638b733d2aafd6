"""A virtual machine with a kernel of its own (QEMU, emulated): it is rebooted, hangs at boot, loses its power.

Its network is QEMU's own, restricted: it reaches nothing but the one port of the loopback that it is given as a mirror.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from devstral_fleet.lab import image, keys
from devstral_fleet.lab.host import SshHost
from tests.support.fleet import until
from tests.support.host_container import CACHE, as_root
from tests.support.ports import free_port

BOOT_S = 120.0
STOP_S = 20
DISK = "6G"
MEMORY_MIB = "4096"
MIRROR = "10.0.2.100"
"""The mirror's address as the machine sees it, port 80."""
_ROOT_FILES = {
    "etc/fstab": "/dev/vda / ext4 errors=remount-ro 0 1\n",
    "etc/hostname": "vm01\n",
    "etc/systemd/network/10-all.network": "[Match]\nName=e*\n[Network]\nDHCP=ipv4\n",
}
_UNUSED = (
    *("e2scrub_reap.service", "e2scrub_all.timer", "apt-daily.timer", "apt-daily-upgrade.timer", "fstrim.timer"),
    *("systemd-binfmt.service", "systemd-random-seed.service", "dev-hugepages.mount", "dev-mqueue.mount"),
    *("sys-kernel-debug.mount", "sys-kernel-tracing.mount", "kmod-static-nodes.service"),
    *(f"modprobe@{name}.service" for name in ("configfs", "dm_mod", "drm", "efi_pstore", "fuse", "loop")),
)
"""Units that no test looks at: an emulated processor spends most of its boot on them, half of it on the first alone."""
ROOT = image.Root(
    "devstral-fleet-machine",
    (
        *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "sudo", "procps", "iproute2", "udev"),
        *("python3", "python3-apt", "python3-venv", "ca-certificates", "linux-image-cloud-amd64", "grub2-common"),
    ),
    (
        *image.HOOKS[:3],
        'chroot "$1" systemctl enable systemd-networkd',
        f'chroot "$1" systemctl mask {" ".join(_UNUSED)}',
    ),
)


@dataclass(frozen=True)
class VirtualMachine(SshHost):
    """A machine that is off until it is started. Its files lie in its folder."""

    mirror_port: int

    @cached_property
    def _running(self) -> "list[subprocess.Popen[bytes]]":
        return []

    def root(self, *words: str) -> str:
        """Return what a command prints that root runs there; it must succeed."""
        return as_root(self, *words)

    def boot_id(self) -> str:
        """Name of the running boot."""
        return self.root("cat", "/proc/sys/kernel/random/boot_id")

    def start(self, *parameters: str) -> None:
        """Switch it on, with more boot parameters, and wait until it lets its user in."""
        (kernel,), (initrd,) = self.folder.glob("vmlinuz-*"), self.folder.glob("initrd.img-*")
        words = " ".join(("root=/dev/vda", "rw", "console=ttyS0", "mitigations=off", *parameters))
        to_mirror = f"guestfwd=tcp:{MIRROR}:80-cmd:busybox nc 127.0.0.1 {self.mirror_port}"
        network = f"user,id=net,restrict=on,hostfwd=tcp:{self.address}:{self.port}-:22,{to_mirror}"
        argv = [
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", MEMORY_MIB),
            *("-display", "none", "-monitor", "none", "-serial", f"file:{self.folder / 'console.log'}"),
            *("-kernel", str(kernel), "-initrd", str(initrd), "-append", words),
            *("-drive", f"file={self.folder / 'disk'},if=virtio,format=raw"),
            *("-netdev", network, "-device", "virtio-net-pci,netdev=net"),
        ]
        self._running.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL))
        until(lambda: self.ssh("true").returncode == 0, BOOT_S, f"{self.name} lets its user in")

    def cut_power(self) -> None:
        """Switch it off at once."""
        while self._running:
            process = self._running.pop()
            process.kill()
            process.wait(STOP_S)


@contextmanager
def virtual_machine(folder: Path, mirror_port: int) -> Iterator[VirtualMachine]:
    """Give a running machine of a disk of its own; it is gone at the end."""
    machine = VirtualMachine("vm01", "127.0.0.1", free_port(), folder, mirror_port)
    keys.make_keys(folder)
    keys.trust(folder, machine.address, machine.port)
    _make_disk(folder)
    try:
        machine.start()
        yield machine
    finally:
        machine.cut_power()
        (folder / "disk").unlink()


def _make_disk(folder: Path) -> None:
    """Write kernel, initial RAM disk and a file system with the machine's root and keys to a folder."""
    tree = folder / "root"
    tree.mkdir()
    packed = str(image.root_tar(CACHE, ROOT))
    subprocess.run(["tar", "--extract", "--numeric-owner", "--directory", str(tree), "--file", packed], check=True)
    files = {name: text.encode() for name, text in _ROOT_FILES.items()} | keys.host_key_files(folder)
    for name, content in files.items():
        (tree / name).write_bytes(content)
        (tree / name).chmod(0o600 if name.startswith("etc/ssh/") else 0o644)
    own = tree / "home" / image.USER
    (own / ".ssh").mkdir(mode=0o700)
    shutil.copyfile(folder / f"{keys.LOGIN}.pub", own / ".ssh" / "authorized_keys")
    owner = own.stat()
    for path in (own / ".ssh", own / ".ssh" / "authorized_keys"):
        os.chown(path, owner.st_uid, owner.st_gid)
    for name in ("vmlinuz", "initrd.img"):
        (found,) = (tree / "boot").glob(f"{name}-*")
        shutil.copy(found, folder)
    made = ["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(folder / "disk"), DISK]
    subprocess.run(made, check=True, capture_output=True)
    shutil.rmtree(tree)
