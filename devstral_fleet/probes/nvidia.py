"""NVIDIA GPUs: `nvidia-smi -q -x`, its whole answer as XML. Where no driver answers, its own words are the fact."""

import re
from collections.abc import Container, Iterator
from xml.etree import ElementTree

from devstral_fleet.facts import NO_NVIDIA_SMI, AcceleratorFacts, GpuFacts, GpuProcess
from devstral_fleet.layout import HostLayout
from devstral_fleet.probes import output
from devstral_fleet.shell import Shell

# A lost GPU can keep nvidia-smi waiting for ever; eight without persistence take it half a minute. A process is ours
# when it works in a folder of our home, or in our container, whose id its control group names. Docker hands GPUs over
# by a runtime that it knows, by a device specification (CDI), or by a hook that was on its path when it started.
SCRIPT = r"""
home=$1 container=$2 answer_s=$3 said='@absent' status=127
if command -v nvidia-smi >/dev/null 2>&1; then
    said=$(timeout "$answer_s" nvidia-smi -q -x 2>&1)
    status=$?
fi
printf 'status=%s\ntoolkit=' $status
! docker info --format '{{range $name, $runtime := .Runtimes}}{{$name}} {{end}}' 2>/dev/null | grep -qw nvidia ||
    printf 'runtime '
! grep -qs nvidia.com/gpu /etc/cdi/* /var/run/cdi/* || printf 'cdi '
! command -v nvidia-container-runtime-hook >/dev/null 2>&1 || printf 'hook '
printf '\nours='
id=$(docker container inspect --format '{{.Id}}' "$container" 2>/dev/null)
for pid in $(printf '%s\n' "$said" | sed -n 's/.*<pid>\([0-9]*\)<.*/\1/p' | sort -u); do
    case $(readlink "/proc/$pid/cwd") in "$home"/*) printf '%s ' "$pid"; continue ;; esac
    [ -z "$id" ] || ! grep -q "$id" "/proc/$pid/cgroup" 2>/dev/null || printf '%s ' "$pid"
done
printf '\n\n%s\n' "$said"
""".replace("@absent", NO_NVIDIA_SMI)
ANSWER_S = 60
OUT_OF_TIME = "124"
"""Exit status of timeout(1)."""
ROOT = "nvidia_smi_log"
_NUMBER = re.compile(r"\d+")
_SILENT = ("N/A", "None", "")
# What asks for a reset or an exchange of the card. Source: NVIDIA's guide to GPU memory error management.
REPAIRS = (
    *("retired_pages/pending_retirement", "retired_pages/pending_blacklist"),
    *("remapped_rows/remapped_row_pending", "remapped_rows/remapped_row_failure"),
    *("ecc_errors/channel_repair_pending", "ecc_errors/tpc_repair_pending", "ecc_errors/unrepairable_memory"),
    "ecc_errors/aggregate/sram_threshold_exceeded",
)
# Idleness, clocks that were set and the power limit are no faults; heat and power supply are.
SLOWDOWNS = ("hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown")


def command(layout: HostLayout) -> list[str]:
    """Words of the probe; the script itself goes to standard input."""
    return ["sh", "-s", str(layout.home), layout.container, str(ANSWER_S)]


def read(shell: Shell, layout: HostLayout) -> AcceleratorFacts:
    """Ask a host's NVIDIA driver. One that is not there or does not answer is no error.

    Raises:
        ProbeError: the script failed, or nvidia-smi printed what the parser does not know.
    """
    return parse(output.run(shell, "nvidia", command(layout), stdin=SCRIPT, timeout_s=ANSWER_S + 30.0))


def parse(text: str) -> AcceleratorFacts:
    """Read the script's lines and what nvidia-smi said; words around its XML are warnings and not read."""
    head, _, said = text.partition("\n\n")
    values = output.fields(head, "nvidia", ("status", "toolkit", "ours"))
    toolkit = tuple(values["toolkit"].split())
    if values["status"] != "0" or "No devices were found" in said:
        detail = _words(said, values["status"])
        return AcceleratorFacts(driver="", detail=detail, cuda="", gpus=(), toolkit=toolkit)
    log = _log(said)
    driver = _text(log, "driver_version")
    if not driver:
        raise output.unreadable("nvidia", "no driver_version", said)
    ours = {int(pid) for pid in values["ours"].split()}
    gpus = tuple(_gpu(index, gpu, ours) for index, gpu in enumerate(log.iterfind("gpu")))
    return AcceleratorFacts(driver=driver, detail="", cuda=_text(log, "cuda_version"), gpus=gpus, toolkit=toolkit)


def _log(said: str) -> ElementTree.Element:
    """The XML's root; entities, by which a short text can become a huge one, are refused."""
    start, end = said.find("<?xml"), said.find(f"</{ROOT}>")
    if start < 0 or end < 0 or "<!ENTITY" in said:
        raise output.unreadable("nvidia", "no XML of nvidia-smi", said)
    try:
        return ElementTree.fromstring(said[start : end + len(f"</{ROOT}>")])  # noqa: S314 - see above
    except ElementTree.ParseError as error:
        raise output.unreadable("nvidia", f"broken XML: {error}", said) from error


def _words(said: str, status: str) -> str:
    if status == OUT_OF_TIME:
        return f"nvidia-smi did not answer within {ANSWER_S} s"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " ".join(lines[-2:]) or f"nvidia-smi ended with {status}"


def _gpu(index: int, gpu: ElementTree.Element, ours: Container[int]) -> GpuFacts:
    device = _text(gpu, "pci/pci_device_id").lower()  # device, then vendor: 233010de
    mig, ecc = _text(gpu, "mig_mode/current_mig"), _text(gpu, "ecc_mode/current_ecc")
    return GpuFacts(
        index=index,
        address=gpu.get("id", "").lower().removeprefix("0000"),  # eight digits of domain, where sysfs has four
        pci_id=f"{device[4:]}:{device[:4]}",
        title=_text(gpu, "product_name"),
        uuid=_text(gpu, "uuid"),
        memory_mib=_number(gpu, "fb_memory_usage/total"),
        used_mib=_number(gpu, "fb_memory_usage/used"),
        partition="MIG" if mig == "Enabled" else "",
        persistent=_text(gpu, "persistence_mode") == "Enabled",
        ecc=None if ecc in _SILENT else ecc == "Enabled",
        uncorrected_errors=sum(_uncorrected(gpu)),
        repairs=tuple(_repairs(gpu)),
        link_width=_number(gpu, "pci/pci_gpu_link_info/link_widths/current_link_width"),
        link_width_maximum=_number(gpu, "pci/pci_gpu_link_info/link_widths/max_link_width"),
        slowdowns=tuple(_slowdowns(gpu)),
        processes=tuple(_process(process, ours) for process in gpu.iterfind("processes/process_info")),
    )


def _process(process: ElementTree.Element, ours: Container[int]) -> GpuProcess:
    pid = _number(process, "pid")
    return GpuProcess(
        pid=pid,
        name=_text(process, "process_name"),
        kind=_text(process, "type"),
        memory_mib=_number(process, "used_memory"),
        ours=pid in ours,
    )


def _uncorrected(gpu: ElementTree.Element) -> Iterator[int]:
    """Counts since boot; how many there are, and their names, differ from driver to driver."""
    for count in gpu.iterfind("ecc_errors/volatile/*"):
        if "uncorrectable" in count.tag:
            yield int(count.text) if count.text and count.text.isdigit() else 0


def _repairs(gpu: ElementTree.Element) -> Iterator[str]:
    yield from (path.rpartition("/")[2] for path in REPAIRS if _text(gpu, path) == "Yes")
    action = _text(gpu, "gpu_recovery_action")
    if action not in _SILENT:
        yield f"gpu_recovery_action: {action}"


def _slowdowns(gpu: ElementTree.Element) -> Iterator[str]:
    """Reasons that are active; before driver 535 they had another name."""
    for place, prefix in (
        ("clocks_event_reasons", "clocks_event_reason_"),
        ("clocks_throttle_reasons", "clocks_throttle_reason_"),
    ):
        yield from (reason for reason in SLOWDOWNS if _text(gpu, f"{place}/{prefix}{reason}") == "Active")


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(element: ElementTree.Element, path: str) -> int:
    """The number that a text begins with ('81559 MiB', '16x'), 0 for 'N/A' and for what is not there."""
    found = _NUMBER.match(_text(element, path))
    return int(found[0]) if found else 0
