"""Simulated GPU hosts: what their probes answer with is recorded, in `recorded/`, where each file says by whom.

A name is a GPU's in the catalog, with xN for N of them in the host.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from devstral_fleet import catalog as catalogs
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.intent import HostIntent
from devstral_fleet.layout import SIMULATED, SIMULATION, HostLayout
from devstral_fleet.model import Value
from devstral_fleet.resolve import model_files

RECORDED = Path(__file__).parent / "recorded"
PCI = "sys/bus/pci/devices"
KFD = "sys/class/kfd/kfd/topology/nodes"
FIRST_RENDER_MINOR = 128
NVIDIA_SMI = "nvidia-smi.xml"
# Both stand-ins say what they are, so that nobody who looks at the host takes them for the vendor's.
STAND_IN = "#!/bin/sh\n# Stand-in of a simulated lab host.\n"
SMI = f"""{STAND_IN}if [ "$*" = "-q -x" ]; then exec cat {SIMULATION / NVIDIA_SMI}; fi
echo "this host is simulated: there is no recording of nvidia-smi $*" >&2
exit 2
"""
RUNTIME = f"""{STAND_IN}echo "this host is simulated: it runs no container with GPUs" >&2
exit 1
"""
# overlay2: as in the image of lab hosts, whose file this one replaces.
DAEMON = {"storage-driver": "overlay2", "runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime"}}}
_GPU = re.compile(r"\t<gpu id=.*?</gpu>\n", re.DOTALL)


class Recording(Value):
    """One file of `recorded/`: a host with one GPU, and how to make it several. Paths are those below `/`."""

    accelerator: Literal["nvidia", "amd"]
    addresses: tuple[str, ...]
    """PCI addresses, one for each GPU that there can be."""
    nvidia_smi: str = ""
    """File with what `nvidia-smi -q -x` printed."""
    files: dict[str, str]
    files_of_a_gpu: dict[str, str]
    """In the folder of its PCI device. `{address}` and `{number}` are filled in."""
    kfd_node: str = ""
    """AMD: the node's properties; `{location}` and `{minor}` are filled in."""


@dataclass(frozen=True)
class Simulation:
    """A host to simulate: `count` GPUs of that name."""

    gpu: str
    count: int

    @property
    def name(self) -> str:
        return f"{self.gpu}x{self.count}" if self.count > 1 else self.gpu

    @property
    def host(self) -> str:
        """Name of the lab host."""
        return f"sim-{self.name}"

    @property
    def recording(self) -> Recording:
        return _recording(self.gpu)

    def keys(self) -> dict[str, object]:
        """What the inventory says of the host."""
        return {
            "fleet_accelerator": self.recording.accelerator,
            "fleet_hardware": self.gpu,
            "fleet_gpu_count": self.count,
        }

    def files(self) -> dict[str, bytes]:
        """The host's files by their paths: the mark, what probes look at, a Docker that knows the runtime, models."""
        looked_at = {**self.recording.files, **dict(self._files_of_gpus())}
        found = {str(SIMULATED): f"{self.name}\n", **{str(SIMULATION / path): text for path, text in looked_at.items()}}
        if self.recording.nvidia_smi:
            found[str(SIMULATION / NVIDIA_SMI)] = several(_nvidia_smi(self.recording), self._addresses)
            found["/etc/docker/daemon.json"] = json.dumps(DAEMON)
        found |= dict.fromkeys(self._model_marks(), "{}\n")
        return {path: text.encode() for path, text in found.items()}

    def programs(self) -> dict[str, bytes]:
        """The host's stand-in programs by their paths."""
        if not self.recording.nvidia_smi:
            return {}
        return {"/usr/bin/nvidia-smi": SMI.encode(), "/usr/bin/nvidia-container-runtime": RUNTIME.encode()}

    @property
    def _addresses(self) -> tuple[str, ...]:
        return self.recording.addresses[: self.count]

    def _files_of_gpus(self) -> Iterator[tuple[str, str]]:
        for number, address in enumerate(self._addresses):
            for path, text in self.recording.files_of_a_gpu.items():
                yield f"{PCI}/{address}/{path}", text.format(address=address, number=number + 1)
            if self.recording.kfd_node:
                node, minor = f"{KFD}/{2 + number}", FIRST_RENDER_MINOR + number
                text = self.recording.kfd_node.format(location=_location(address), minor=minor)
                yield f"{node}/gpu_id", str(1 + number)
                yield f"{node}/properties", text
                yield f"dev/dri/renderD{minor}", ""

    def _model_marks(self) -> Iterator[str]:
        """The file by which a deploy knows that a model's files are there; without it --check would end at them."""
        models = HostLayout.of(HostIntent.model_fields["home"].default).models
        for model in catalogs.load().models.values():
            if self.recording.accelerator in model.accelerators and model.source == "hub":
                yield str(models / model_files(model).directory / "config.json")


def parse(words: str) -> tuple[Simulation, ...]:
    """Read a comma list of names; one that is named twice is one host.

    Raises:
        ConfigurationError: there is no recording of one.
    """
    return tuple(dict.fromkeys(named(word.strip()) for word in words.split(",") if word.strip()))


def named(name: str) -> Simulation:
    """Give the host of that name; raises ConfigurationError with those that can be simulated."""
    gpus = [path.stem for path in sorted(RECORDED.glob("*.yml"))]
    for gpu in gpus:
        most = len(_recording(gpu).addresses)
        found = next((count for count in range(1, most + 1) if Simulation(gpu, count).name == name), 0)
        if found:
            return Simulation(gpu, found)
    known = (f"{gpu}, {gpu}x2 to {gpu}x{len(_recording(gpu).addresses)}" for gpu in gpus)
    raise ConfigurationError(f"--simulate '{name}': there is no recording of that", fix=f"known: {', '.join(known)}")


def several(xml: str, addresses: tuple[str, ...]) -> str:
    """The answer of `nvidia-smi -q -x` for as many GPUs as there are addresses: the recorded one's, numbered.

    What is changed is what tells two cards of a host apart, and nothing else; the first one stays as it was recorded.
    """
    recorded = _GPU.search(xml)
    if recorded is None:
        raise ValueError("the recording of nvidia-smi holds no GPU")
    gpus = (_numbered(recorded[0], number, address) for number, address in enumerate(addresses))
    return _set(xml[: recorded.start()], "attached_gpus", str(len(addresses))) + "".join(gpus) + xml[recorded.end() :]


def _numbered(gpu: str, number: int, address: str) -> str:
    long = f"0000{address}".upper()
    _, bus, device = long.split(":")
    for tag, value in (
        ("serial", f"{number + 1:013}"),
        ("uuid", f"GPU-00000000-0000-0000-0000-{number + 1:012}"),
        ("minor_number", str(number)),
        ("pci_bus", bus),
        ("pci_device", device[:2]),
        ("pci_bus_id", long),
    ):
        gpu = _set(gpu, tag, value)
    return re.sub(r'<gpu id="[^"]*">', f'<gpu id="{long}">', gpu)


def _set(xml: str, tag: str, value: str) -> str:
    return re.sub(rf"<{tag}>[^<]*</{tag}>", f"<{tag}>{value}</{tag}>", xml)


def _location(address: str) -> int:
    """KFD's number for a PCI address: bus, device and function in 16 bits."""
    _, bus, device = address.split(":")
    slot, function = device.split(".")
    return int(bus, 16) << 8 | int(slot, 16) << 3 | int(function)


@cache
def _recording(gpu: str) -> Recording:
    written = yaml.load((RECORDED / f"{gpu}.yml").read_text(), yaml.CSafeLoader)
    if system := written.pop("system_of", ""):
        written["files"] = _recording(system).files
    return Recording.model_validate_json(json.dumps(written))


def _nvidia_smi(recording: Recording) -> str:
    return (RECORDED / recording.nvidia_smi).read_text()
