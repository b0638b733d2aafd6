"""The operating system and its resources. One POSIX script, no root, no python3 needed on the host."""

from collections.abc import Sequence

from devstral_fleet.facts import HostFacts
from devstral_fleet.layout import HostLayout
from devstral_fleet.probes import output, place
from devstral_fleet.shell import Shell

# A container's memory limit is the memory there is: cgroup v2, then v1. 'max' and v1's huge number mean no limit.
SCRIPT = r"""
set -u
home=$1 python=$2 variables=$3
[ -r /etc/os-release ] && . /etc/os-release
kib() { sed -n "s/^$1: *\([0-9]*\) kB$/\1/p" "$root/proc/meminfo"; }
control=$root/sys/fs/cgroup
limit=$(cat "$control/memory.max" "$control/memory/memory.limit_in_bytes" 2>/dev/null | head -n 1)
space() { if [ -n "$root" ]; then cat "$root/df"; else df -Pk "$1"; fi; }
folder=$home
while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
version=$("$python" -c 'import platform; print(platform.python_version())' 2>/dev/null)
"$python" -c 'import ensurepip, venv' 2>/dev/null && venv=1 || venv=0
cat <<END
hostname=$(uname -n)
os_id=${ID-}
os_version=${VERSION_ID-}
kernel=$(uname -r)
architecture=$(uname -m)
process_1=$(cat /proc/1/comm)
user=$(id -un)
python_version=$version
has_venv=$venv
cpu_count=$(nproc)
memory_total_kib=$(kib MemTotal)
memory_available_kib=$(kib MemAvailable)
memory_limit_bytes=$limit
disk_free_kib=$(space "$folder" | awk 'NR == 2 { print $4 }')
utc_epoch_s=$(date +%s)
simulated=$simulated
variables=$([ -z "$variables" ] || env | grep -E "^($variables)[A-Za-z0-9_]*=" | sort | tr '\n' '\t')
END
"""
NAMES = (
    *("hostname", "os_id", "os_version", "kernel", "architecture", "process_1", "user", "python_version", "has_venv"),
    *("cpu_count", "memory_total_kib", "memory_available_kib", "memory_limit_bytes", "disk_free_kib", "utc_epoch_s"),
    *("simulated", "variables"),
)
KIB_PER_GIB = 1024**2


def command(home: str, python: str, variables: Sequence[str] = ()) -> list[str]:
    """Words of the probe; the script itself goes to standard input."""
    return ["sh", "-s", home, python, "|".join(variables)]


def read(shell: Shell, layout: HostLayout, *, python: str = "python3", variables: Sequence[str] = ()) -> HostFacts:
    """Look at a host.

    Args:
        python: interpreter that would make the engine's environment.
        variables: first letters of the environment variables that are asked for.

    Raises:
        ProbeError: the script failed or printed something else.
    """
    return parse(output.run(shell, "host", command(str(layout.home), python, variables), stdin=place.SCRIPT + SCRIPT))


def parse(text: str) -> HostFacts:
    """Read the script's lines. Sizes in GiB, rounded to a tenth."""
    values = output.fields(text, "host", NAMES)
    try:
        total_kib, available_kib = int(values["memory_total_kib"]), int(values["memory_available_kib"])
        limit = values["memory_limit_bytes"]
        limit_kib = int(limit) // 1024 if limit.isdigit() else total_kib
        return HostFacts(
            **{name: values[name] for name in NAMES[:8]},
            has_venv=values["has_venv"] == "1",
            cpu_count=int(values["cpu_count"]),
            memory_gib=_gib(min(total_kib, limit_kib)),
            memory_available_gib=_gib(min(available_kib, limit_kib)),
            disk_free_gib=_gib(int(values["disk_free_kib"])),
            utc_epoch_s=int(values["utc_epoch_s"]),
            simulated=values["simulated"],
            variables=dict(line.split("=", 1) for line in values["variables"].split("\t") if line),
        )
    except ValueError as error:
        raise output.unreadable("host", str(error), text) from error


def _gib(kib: int) -> float:
    return round(kib / KIB_PER_GIB, 1)
