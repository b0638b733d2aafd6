"""The operating system under a GPU driver: kernel, modules, packages, log. One POSIX script, no root where it can.

The kernel log is root's on many systems: sudo is asked where it needs no password, then the journal.
"""

import re
from collections.abc import Mapping

from devstral_fleet.facts import DriverBuild, Package, SystemFacts
from devstral_fleet.probes import output, place
from devstral_fleet.shell import Shell

# A part is a line `== name` and what follows; `== unread` behind one that could not be had. On a simulated host what a
# program would say stands in a file of the part's name.
SCRIPT = r"""
part() { printf '\n== %s\n' "$1"; }
file() { part "$1"; [ ! -r "$root$2" ] || cat "$root$2"; }
said() {
    part "$1"
    if [ -n "$root" ]; then cat "$root/said/$1" 2>/dev/null; else "$2" 2>/dev/null; fi || printf '\n== unread\n'
}
packages() {
    if command -v dpkg-query >/dev/null; then
        dpkg-query --show --showformat='${db:Status-Abbrev} ${Package} ${Version}\n'
    else
        rpm --query --all --queryformat 'ii %{NAME} %{VERSION}\n'
    fi >"$scratch" || return 1
    awk '$1 !~ /^.[inct]$/ || $2 ~ /nvidia|cuda-drivers|amdgpu/' "$scratch"
}
boot() { df -Pk /boot || df -Pk /; }
dkms_status() { ! command -v dkms >/dev/null || dkms status; }
lock() {
    inode=$(stat --format=%i /var/lib/dpkg/lock-frontend) || return 0
    pid=$(awk -v inode="$inode" '{ n = split($6, part, ":") } part[n] == inode { print $5; exit }' /proc/locks)
    [ -z "$pid" ] || echo "$pid $(cat "/proc/$pid/comm")"
}
fabric_manager() { ! command -v systemctl >/dev/null || systemctl is-active nvidia-fabricmanager || :; }
log() {
    dmesg >"$scratch" || sudo --non-interactive dmesg >"$scratch" ||
        journalctl --dmesg --boot --quiet --no-pager >"$scratch" || return 1
    [ -s "$scratch" ] || return 1
    grep -E 'NVRM: Xid|amdgpu.*(GPU reset|ring [^ ]* timeout|[Uu]ncorrectable)' "$scratch" | tail -n 50 || :
}
switches() {
    for folder in "$root"/sys/bus/pci/devices/*; do
        kind=$(cat "$folder/class" "$folder/vendor" 2>/dev/null | tr -d '\n')
        [ "$kind" != 0x0680000x10de ] || echo "${folder##*/}"
    done
    grep -ls SW_MNG "$root"/sys/class/infiniband/*/device/vpd || :
}
PATH=$PATH:/usr/sbin:/sbin
scratch=$(mktemp) || exit
trap 'rm -f "$scratch"' EXIT
file kernel /proc/sys/kernel/osrelease
part kernels; ls "$root/lib/modules" 2>/dev/null
file boot_parameters /proc/cmdline
file swaps /proc/swaps
file numa_balancing /proc/sys/kernel/numa_balancing
part secure_boot
od -An -tu1 "$root"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c 2>/dev/null
part modules
awk '$1 ~ /^(nvidia|nouveau|amdgpu)$/ { print $1 }' "$root/proc/modules" 2>/dev/null
part loaded
for module in nvidia amdgpu; do
    [ ! -r "$root/sys/module/$module/version" ] || echo "$module $(cat "$root/sys/module/$module/version")"
done
part headers
[ ! -e "$root/lib/modules/$(cat "$root/proc/sys/kernel/osrelease")/build" ] || echo there
said builds dkms_status
said packages packages
said lock lock
said boot boot
file reboot_for /run/reboot-required.pkgs
part switches; switches
said fabric_manager fabric_manager
said log log
part end
"""
PART = "== "
UNREAD = "unread"
NAMES = (
    *("kernel", "kernels", "boot_parameters", "swaps", "numa_balancing", "secure_boot", "modules", "loaded", "headers"),
    *("builds", "packages", "lock", "boot", "reboot_for", "switches", "fabric_manager", "log", "end"),
)
BUILD = re.compile(r"([^,/ ]+)(?:/|, )([^,: ]+)(?:, ([^,: ]+), [^:]+)?: (.+)")
"""`nvidia/580.95.05, 6.1.0-28-amd64, x86_64: installed`; DKMS before 2.8.6 wrote a comma for the slash."""
Parts = Mapping[str, tuple[str, ...]]


def command() -> list[str]:
    """Words of the probe; the script itself goes to standard input."""
    return ["sh", "-s"]


def read(shell: Shell) -> SystemFacts:
    """Look at a host's operating system.

    Raises:
        ProbeError: the script failed or printed something else.
    """
    return parse(output.run(shell, "system", command(), stdin=place.SCRIPT + SCRIPT))


def parse(text: str) -> SystemFacts:
    """Read the script's parts. Sizes in MiB."""
    parts, unread = _parts(text)
    missing = [name for name in NAMES if name not in parts]
    if missing or not parts["kernel"]:
        raise output.unreadable("system", f"no {', '.join(missing) or 'kernel'}", text)
    try:
        return _facts(parts, unread)
    except (ValueError, IndexError) as error:
        raise output.unreadable("system", str(error), text) from error


def _parts(text: str) -> tuple[Parts, frozenset[str]]:
    """Return {part: its lines} and the parts that could not be had."""
    parts, unread, name = dict[str, list[str]](), set[str](), ""
    for line in text.splitlines():
        if line == PART + UNREAD:
            unread.add(name)
        elif line.startswith(PART):
            name = line.removeprefix(PART)
            parts[name] = []
        elif name and line.strip():
            parts[name].append(line.strip())
    return {name: tuple(lines) for name, lines in parts.items()}, frozenset(unread)


def _facts(parts: Parts, unread: frozenset[str]) -> SystemFacts:
    swaps = [line.split() for line in parts["swaps"][1:]]
    return SystemFacts(
        kernel=parts["kernel"][0],
        kernels=parts["kernels"],
        boot_parameters=tuple(" ".join(parts["boot_parameters"]).split()),
        swap_mib=sum(int(fields[2]) for fields in swaps) // 1024,
        swap_used_mib=sum(int(fields[3]) for fields in swaps) // 1024,
        numa_balancing=_switch(parts["numa_balancing"]),
        secure_boot=_switch(parts["secure_boot"]),
        modules=parts["modules"],
        loaded=dict(_pair(line) for line in parts["loaded"]),
        headers=bool(parts["headers"]),
        builds=tuple(map(_build, parts["builds"])),
        packages=None if "packages" in unread else tuple(map(_package, parts["packages"])),
        package_lock="".join(f"{name} (pid {pid})" for pid, name in map(_pair, parts["lock"])),
        boot_free_mib=int(parts["boot"][1].split()[3]) // 1024,
        reboot_for=parts["reboot_for"],
        switches=len(parts["switches"]),
        nvlink_management=any("/infiniband/" in line for line in parts["switches"]),
        fabric_manager=" ".join(parts["fabric_manager"]),
        log=None if "log" in unread else parts["log"],
    )


def _switch(lines: tuple[str, ...]) -> bool | None:
    """The last number of what was printed as on or off; a variable of the firmware has its attributes before it."""
    return int(lines[-1].split()[-1]) != 0 if lines else None


def _pair(line: str) -> tuple[str, str]:
    first, _, second = line.partition(" ")
    return first, second


def _package(line: str) -> Package:
    state, name, version = (*line.split(), "")[:3]  # a package that was never unpacked has no version
    return Package(name=name, version=version, state=state)


def _build(line: str) -> DriverBuild:
    found = BUILD.fullmatch(line)
    if found is None:
        raise ValueError(f"DKMS says '{line}'")
    return DriverBuild(module=found[1], version=found[2], kernel=found[3] or "", state=found[4])
