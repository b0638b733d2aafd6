"""AMD GPUs, by sysfs alone: a host needs amdgpu, and no ROCm, so there may be no amd-smi.

Sources: the kernel's pages on amdgpu (driver-misc, ras), the files of amdkfd, AMD's page on partitions of a GPU.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from devstral_fleet.facts import AcceleratorFacts, GpuFacts, GpuProcess
from devstral_fleet.layout import HostLayout
from devstral_fleet.probes import output, place
from devstral_fleet.shell import Shell

# A GPU is a PCI device that amdgpu has; what computes on it are KFD nodes, several where it is partitioned. KFD lists
# processes too, with the memory that each holds on each node: those that hold none only looked.
SCRIPT = r"""
home=$1 container=$2 kfd=$root/sys/class/kfd/kfd module=$root/sys/module/amdgpu
get() { eval "$1="; { read -r "$1" <"$2"; } 2>/dev/null; }
group() { if [ -n "$root" ]; then grep -s "^$1:" "$root/etc/group"; else getent group "$1"; fi; }
[ -d "$module" ] && loaded=1 || loaded=
get version "$module/version"
printf 'loaded=%s\nversion=%s\nmissing=' "$loaded" "$version"
[ -e "$root/dev/kfd" ] || printf '/dev/kfd '
ls "$root"/dev/dri/renderD* >/dev/null 2>&1 || printf '/dev/dri '
for name in video render; do group $name >/dev/null || printf 'group:%s ' $name; done
echo
for folder in "$root"/sys/bus/pci/devices/*; do
    [ -r "$folder/mem_info_vram_total" ] || continue
    get id "$folder/device"; get vram "$folder/mem_info_vram_total"; get used "$folder/mem_info_vram_used"
    get compute "$folder/current_compute_partition"; get memory "$folder/current_memory_partition"
    get uuid "$folder/unique_id"; get width "$folder/current_link_width"; get maximum "$folder/max_link_width"
    [ -r "$folder/ras/umc_err_count" ] && ras=1 || ras=
    errors=$(cat "$folder"/ras/*_err_count 2>/dev/null | awk '/^ue:/ { sum += $2 } END { print sum + 0 }')
    pages=$(grep -cs ': [PF] *$' "$folder/ras/gpu_vram_bad_pages")
    printf 'gpu address=%s id=%s vram=%s used=%s ' "${folder##*/}" "$id" "$vram" "$used"
    printf 'compute=%s memory=%s uuid=%s width=%s maximum=%s ' "$compute" "$memory" "$uuid" "$width" "$maximum"
    printf 'ras=%s errors=%s pages=%s\n' "$ras" "$errors" "$pages"
done
for folder in "$kfd"/topology/nodes/*; do
    get gpu "$folder/gpu_id"
    [ "${gpu:-0}" != 0 ] || continue
    domain= location=
    while read -r name value; do
        case $name in domain) domain=$value ;; location_id) location=$value ;; esac
    done <"$folder/properties"
    echo "node gpu=$gpu domain=$domain location=$location"
done
running=$(docker container inspect --format '{{.Id}}' "$container" 2>/dev/null)
for file in "$kfd"/proc/*/vram_*; do
    [ -r "$file" ] || continue
    pid=${file%/*} pid=${pid##*/} ours=
    case $(readlink "$root/proc/$pid/cwd") in "$home"/*) ours=1 ;; esac
    [ -z "$running" ] || ! grep -qs "$running" "$root/proc/$pid/cgroup" || ours=1
    get bytes "$file"; get name "$root/proc/$pid/comm"
    printf 'process pid=%s gpu=%s bytes=%s ' "$pid" "${file##*vram_}" "$bytes"
    printf 'ours=%s name=%s\n' "$ours" "$(echo "$name" | tr ' ' _)"
done
echo end
"""
WHOLE = ("", "SPX")
"""Compute partition of a GPU that is one device."""
MIB = 1024**2
Fields = Mapping[str, str]


def command(layout: HostLayout) -> list[str]:
    """Words of the probe; the script itself goes to standard input."""
    return ["sh", "-s", str(layout.home), layout.container]


def read(shell: Shell, layout: HostLayout) -> AcceleratorFacts:
    """Look at a host's AMD driver and what it has. One that is not there is no error.

    Raises:
        ProbeError: the script failed or printed something else.
    """
    return parse(output.run(shell, "amd", command(layout), stdin=place.SCRIPT + SCRIPT))


def parse(text: str) -> AcceleratorFacts:
    """Read the script's lines."""
    values = output.fields(text, "amd", ("loaded", "version", "missing"))
    lines = [line.split() for line in text.splitlines() if line.split()]
    if lines[-1] != ["end"]:
        raise output.unreadable("amd", "no last line", text)
    try:
        rows = {kind: _rows(lines, kind) for kind in ("gpu", "node", "process")}
        nodes = {row["gpu"]: _address(row) for row in rows["node"]}
        held = [(nodes.get(row["gpu"], ""), _process(row)) for row in rows["process"]]
        parts = Counter(nodes.values())
        ordered = sorted(rows["gpu"], key=lambda row: row["address"])
        gpus = tuple(_gpu(index, row, parts[row["address"]], held) for index, row in enumerate(ordered))
    except (KeyError, ValueError) as error:
        raise output.unreadable("amd", f"a line of another form ({error})", text) from error
    driver = (values["version"] or "kernel") if values["loaded"] else ""
    detail = "" if driver else "the kernel module amdgpu is not loaded"
    return AcceleratorFacts(driver=driver, detail=detail, cuda="", gpus=gpus, missing=tuple(values["missing"].split()))


def _rows(lines: Iterable[list[str]], kind: str) -> list[Fields]:
    return [dict(word.split("=", 1) for word in line[1:]) for line in lines if line[0] == kind]


def _address(node: Fields) -> str:
    """PCI address of a node: its location holds bus, device and function, where the function counts partitions."""
    location = int(node["location"])
    return f"{int(node['domain']):04x}:{location >> 8:02x}:{location >> 3 & 31:02x}.0"


def _process(row: Fields) -> GpuProcess:
    size = int(row["bytes"]) // MIB
    return GpuProcess(pid=int(row["pid"]), name=row["name"], kind="C", memory_mib=size, ours=row["ours"] == "1")


def _gpu(index: int, row: Fields, parts: int, held: Iterable[tuple[str, GpuProcess]]) -> GpuFacts:
    whole = row["compute"] in WHOLE and parts <= 1
    pages = int(row["pages"] or 0)
    return GpuFacts(
        index=index,
        address=row["address"],
        pci_id=f"1002:{row['id'].removeprefix('0x')}",
        title="",
        uuid=row["uuid"],
        memory_mib=int(row["vram"]) // MIB,
        used_mib=int(row["used"] or 0) // MIB,
        partition="" if whole else "/".join(filter(None, (row["compute"] or f"{parts} parts", row["memory"]))),
        persistent=True,
        ecc=bool(row["ras"]),
        uncorrected_errors=int(row["errors"] or 0),
        repairs=(f"gpu_vram_bad_pages: {pages} not retired",) if pages else (),
        link_width=int(row["width"] or 0),
        link_width_maximum=int(row["maximum"] or 0),
        slowdowns=(),
        processes=tuple(process for address, process in held if address == row["address"] and process.memory_mib),
    )
