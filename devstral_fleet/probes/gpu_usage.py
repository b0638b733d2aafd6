"""What the GPUs do while a benchmark runs: a program beside it that looks once a second, and ends with it.

NVIDIA: `nvidia-smi --query-gpu`, fields as `nvidia-smi --help-query-gpu` of driver 580 describes them; the reasons of a
clock are the bits that nvml.h calls nvmlClocksEventReasons. AMD: sysfs, as the kernel's page on amdgpu's thermal
interfaces describes it; what holds an AMD clock back stands only in a binary table, which is not read.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from devstral_fleet.bench.usage import IDLE, GpuLook, UsageSample
from devstral_fleet.intent import Accelerator

# Ends when the watched process does, however that ended, and takes the sampler with it.
WATCH = r"""
watched=$1
shift
"$@" &
sampler=$!
trap 'kill $sampler 2>/dev/null; wait $sampler' EXIT TERM
while kill -0 "$watched" 2>/dev/null && kill -0 $sampler 2>/dev/null; do sleep 1; done
"""
FIELDS = ("index", "timestamp", "power.draw", "clocks.sm", "temperature.gpu", "utilization.gpu")
REASONS = "clocks_event_reasons.active"
EVERY_MS = 1000
# nvml.h, by bit
NAMES = (
    *(IDLE, "applications_clocks_setting", "sw_power_cap", "hw_slowdown", "sync_boost", "sw_thermal_slowdown"),
    *("hw_thermal_slowdown", "hw_power_brake_slowdown", "display_clocks_setting"),
)
NVIDIA_TIME = "%Y/%m/%d %H:%M:%S.%f"
# A GPU's number is its place among the GPUs that amdgpu has, as in the probe of AMD GPUs.
AMD = r"""
get() { value=; { read -r value <"$1"; } 2>/dev/null; printf '%s,' "$value"; }
first() { for file in "$@"; do [ -r "$file" ] && break; done; get "$file"; }
while :; do
    gpu=0
    for folder in /sys/bus/pci/devices/*; do
        [ -r "$folder/mem_info_vram_total" ] || continue
        case " $* " in *" $gpu "*)
            monitor=$(echo "$folder"/hwmon/hwmon*)
            printf '%s,%s,' "$gpu" "$(date +%s)"
            first "$monitor/power1_average" "$monitor/power1_input"
            get "$monitor/freq1_input"
            first "$monitor/temp2_input" "$monitor/temp1_input"
            get "$folder/gpu_busy_percent"
            echo ;;
        esac
        gpu=$((gpu + 1))
    done
    sleep 1
done
"""
MICRO, MILLI, MEGA = 1e-6, 1e-3, 1e6


def argv(accelerator: Accelerator, gpus: Sequence[int], watched: int) -> tuple[str, ...]:
    """Return the words of the sampler; () where there is nothing to look at.

    Args:
        gpus: indices on the host. watched: the process with which it ends.
    """
    numbers = [str(gpu) for gpu in gpus]
    if accelerator == "nvidia":
        query = ",".join((*FIELDS, REASONS))
        options = ("--format=csv,noheader,nounits", f"--loop-ms={EVERY_MS}")
        sampler: tuple[str, ...] = ("nvidia-smi", f"--id={','.join(numbers)}", f"--query-gpu={query}", *options)
    elif accelerator == "amd":
        sampler = ("sh", "-c", AMD, "sampler", *numbers)
    else:
        return ()
    return ("sh", "-c", WATCH, "watch", str(watched), *sampler)


def parse(text: str, accelerator: Accelerator) -> tuple[GpuLook, ...]:
    """Read the sampler's lines; one that is cut or of another form is left out."""
    read = _nvidia if accelerator == "nvidia" else _amd
    return tuple(_looks(text, read))


def _looks(text: str, read: Callable[[Sequence[str]], GpuLook]) -> Iterator[GpuLook]:
    for line in text.splitlines():
        with suppress(ValueError, IndexError):
            yield read([word.strip() for word in line.split(",")])


def _nvidia(words: Sequence[str]) -> GpuLook:
    """One line: `0, 2026/11/28 01:32:06.787, 696.25, 1455, 53, 100, 0x0000000000000004`."""
    gpu, time, power, clock, temperature, busy, active = words
    sample = UsageSample(
        offset_s=datetime.strptime(time, NVIDIA_TIME).replace(tzinfo=UTC).timestamp(),
        power_w=_number(power),
        sm_clock_mhz=_number(clock),
        temperature_c=_number(temperature),
        utilization_percent=_number(busy),
    )
    return GpuLook(gpu=int(gpu), sample=sample, reasons=_reasons(active))


def _reasons(active: str) -> tuple[str, ...] | None:
    if not active.startswith("0x"):
        return None
    bits = int(active, 16)
    return tuple(name for bit, name in enumerate(NAMES) if bits >> bit & 1)


def _amd(words: Sequence[str]) -> GpuLook:
    """One line: `0,1796000000,612000000,2100000000,71000,99,`: microwatts, hertz, millidegrees, percent."""
    gpu, time, power, clock, temperature, busy, _ = words
    sample = UsageSample(
        offset_s=float(time),
        power_w=_number(power, MICRO),
        sm_clock_mhz=_number(clock, 1 / MEGA),
        temperature_c=_number(temperature, MILLI),
        utilization_percent=_number(busy),
    )
    return GpuLook(gpu=int(gpu), sample=sample)


def _number(word: str, unit: float = 1.0) -> float | None:
    """None for `[N/A]`, `[Not Supported]`, `[Unknown Error]` and for a file that is not there."""
    try:
        return float(word) * unit
    except ValueError:
        return None
