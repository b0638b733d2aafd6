"""GPU hosts: recorded ones with one thing changed, through the probes' real scripts and parsers, to the findings."""

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from devstral_fleet import catalog as catalogs
from devstral_fleet import checks_gpu
from devstral_fleet.errors import ProbeError
from devstral_fleet.facts import AcceleratorFacts, PciDevice
from devstral_fleet.findings import Finding, unread
from devstral_fleet.lab import simulation
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.probes import amd, nvidia, pci
from devstral_fleet.shell import CommandResult, LocalShell
from devstral_fleet.workflows import looking
from devstral_fleet.workflows.planning import Target
from tests.support.hosts import host_of, quiet, target
from tests.support.intents import gpu_host, planned
from tests.support.simulated_root import SimulatedRoot

CASES = Path(__file__).parent / "cases" / "gpus"
LISTED = [
    (vendor, case) for vendor in ("nvidia", "amd") for case in yaml.safe_load((CASES / f"{vendor}.yml").read_text())
]
HARDWARE = {"nvidia": "h100", "amd": "mi300x"}
CLOCKS = re.compile(r"\t\t<supported_clocks>.*?</supported_clocks>\n", re.DOTALL)
CONTAINER = "no-container-of-that-name"


@dataclass
class Machine(SimulatedRoot):
    """A host's files under `root`, and a path with programs that answer for it."""

    programs: Path
    home: Path
    xml: str = ""

    @classmethod
    def of(cls, directory: Path, case: dict[str, Any]) -> "Machine":
        """The case's simulated host with its changes."""
        here = cls(directory / "root", directory / "bin", directory / "home")
        for folder in (here.root, here.programs, here.home):
            folder.mkdir()
        here.fill(case)
        if "recorded" in case:
            (here.root / simulation.NVIDIA_SMI).write_text((CASES / case["recorded"]).read_text())
        here.change(case.get("xml", []), case.get("lost", []))
        here.answer(case)
        return here

    def change(self, changes: list[Any], lost: list[int]) -> None:
        """Change texts of nvidia-smi's recorded answer; every change must find its place."""
        file = self.root / simulation.NVIDIA_SMI
        if not file.is_file():
            return
        head, *gpus = re.split(r"(?=\t<gpu id=)", file.read_text())
        if len(gpus) > 1:  # two thirds of the answer, of which nothing is read
            gpus = [CLOCKS.sub("", text) for text in gpus]
        for gpu, path, value in changes:
            if gpu is None:
                head = replaced(head, path, value)
            else:
                gpus[gpu] = replaced(gpus[gpu], path, value)
        kept = [text for number, text in enumerate(gpus) if number not in lost]
        self.xml = head + "".join(kept) + ("" if kept[-1:] == gpus[-1:] else "</nvidia_smi_log>\n")

    def answer(self, case: dict[str, Any]) -> None:
        """Put programs in the path: a Docker that lists runtimes, nvidia-smi with what it says, maybe the hook."""
        self.program("docker", f'[ "$1" = info ] && echo "{case.get("runtimes", "runc nvidia")}"')
        if case.get("hook"):
            self.program("nvidia-container-runtime-hook", "exit 1")
        status = case.get("status", 0)
        if status == "absent" or not (self.xml or "said" in case):
            return
        (self.programs / "said").write_text(case.get("said", self.xml))
        self.program("nvidia-smi", f'[ "$*" = "-q -x" ] && cat "{self.programs}/said"; exit {status}')

    def program(self, name: str, text: str) -> None:
        file = self.programs / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def run(self, script: str) -> str:
        """What a probe's script prints there; `root` is set as its first lines do it on a simulated host."""
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        words = ["sh", "-s", str(self.home), CONTAINER, "60"]
        text = f"root={self.root}\n{script}"
        done = subprocess.run(
            words, input=text, capture_output=True, text=True, env={**os.environ, "PATH": path}, check=True
        )
        assert done.stderr == ""
        return done.stdout

    def bus(self) -> tuple[PciDevice, ...]:
        return pci.parse(self.run(pci.SCRIPT))

    def seen(self, vendor: str) -> AcceleratorFacts:
        if vendor == "nvidia":
            return nvidia.parse(self.run(nvidia.SCRIPT))
        return amd.parse(self.run(amd.SCRIPT))


def replaced(text: str, path: str, value: str) -> str:
    """The text with another value in the first element that `path` leads to."""
    *parents, tag = path.split("/")
    start = 0
    for parent in parents:
        start = text.index(f"<{parent}>", start)
    found = re.compile(rf"<{tag}>[^<]*</{tag}>").search(text, start)
    assert found, path
    return f"{text[: found.start()]}<{tag}>{value}</{tag}>{text[found.end() :]}"


def plan_for(vendor: str, case: dict[str, Any]) -> tuple[DeploymentPlan, int]:
    """The case's plan and the GPUs that its inventory promises."""
    keys = {"model": "devstral-2", "gpu_count": 8, "hardware": HARDWARE[vendor], **case.get("plan", {})}
    keys |= {"gpus": tuple(keys["gpus"])} if "gpus" in keys else {}
    plan = planned(gpu_host(accelerator=vendor, **keys))
    native = {"runtime": "native", "image": None} if case.get("native") else {}
    return plan.model_copy(update=native), int(keys["gpu_count"])


def judged(
    vendor: str, case: dict[str, Any], machine: Machine, seen: AcceleratorFacts | None = None
) -> dict[str, Finding]:
    """Findings by their checks' names; `seen` where the machine was looked at already."""
    plan, promised = plan_for(vendor, case)
    seen = seen or machine.seen(vendor)
    found = checks_gpu.before(plan, machine.bus(), seen, catalog=catalogs.load(), promised=promised, provisioned=False)
    assert len({finding.check for finding in found}) == len(found)
    return {finding.check: finding for finding in found}


@pytest.mark.parametrize(("vendor", "case"), LISTED, ids=[f"{vendor}: {case['name']}" for vendor, case in LISTED])
def test_what_is_found(vendor: str, case: dict[str, Any], tmp_path: Path) -> None:
    machine = Machine.of(tmp_path, case)
    seen = machine.seen(vendor)
    facts = seen.model_dump(mode="json")
    assert {key: facts[key] for key in case.get("facts", {})} == case.get("facts", {})
    if "gpu" in case:
        assert {key: facts["gpus"][0][key] for key in case["gpu"]} == case["gpu"]

    found = judged(vendor, case, machine, seen)
    assert {name: finding.state for name, finding in found.items() if finding.state != "ok"} == case.get("findings", {})
    for finding in found.values():
        assert bool(finding.fix) == (finding.state != "ok"), finding
    for name, words in case.get("says", {}).items():
        said = "\n".join((found[name].summary, found[name].fix, *found[name].evidence))
        assert [word for word in words if word not in said] == [], said


def test_every_check_fires_and_stays_silent_for_each_vendor_and_each_case_says_where_it_is_from(tmp_path: Path) -> None:
    for vendor in HARDWARE:
        cases = [case for name, case in LISTED if name == vendor]
        (tmp_path / vendor).mkdir()
        checks = set(judged(vendor, cases[1], Machine.of(tmp_path / vendor, cases[1])))
        fired = {name for case in cases for name in case.get("findings", {})}
        assert checks - fired == set()
        assert all(case["provenance"].split(":")[0] in {"recorded", "derived", "written"} for case in cases)


def test_processes_of_our_own_engine_are_ours(tmp_path: Path) -> None:
    case: dict[str, Any] = {"host": "h100x8"}
    machine = Machine.of(tmp_path, case)
    release = machine.home / "releases" / "1"
    release.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"], cwd=release) as engine:
        try:
            information = f"<pid>{engine.pid}</pid><type>C</type><used_memory>70000 MiB</used_memory>"
            machine.change(
                [
                    [0, "processes", f"<process_info>{information}</process_info>"],
                    [0, "fb_memory_usage/used", "70000 MiB"],
                ],
                [],
            )
            machine.answer(case)
            assert judged("nvidia", case, machine)["gpu-busy"].state == "ok"
            (process,) = machine.seen("nvidia").gpus[0].processes
            assert (process.ours, process.memory_mib) == (True, 70000)
        finally:
            engine.kill()


def test_processes_of_our_own_container_are_ours(tmp_path: Path) -> None:
    case = {
        "host": "mi300xx8",
        "files": {
            "sys/class/kfd/kfd/proc/4242/vram_1": "3353346048\n",
            "proc/4242/comm": "sglang::schedule\n",
            "proc/4242/cgroup": "0::/system.slice/docker-0123456789abcdef.scope\n",
        },
    }
    machine = Machine.of(tmp_path, case)
    assert judged("amd", case, machine)["gpu-busy"].state == "fail"
    machine.program("docker", '[ "$1 $2" = "container inspect" ] && echo 0123456789abcdef')
    assert judged("amd", case, machine)["gpu-busy"].state == "ok"


def _addresses(count: int) -> list[str]:
    return [f"0000:00:{6 + number:02x}.0" for number in range(count)]


XML = (simulation.RECORDED / "h100.xml").read_text()
GOOD = nvidia.parse(f"status=0\ntoolkit=runtime\nours=\n\n{simulation.several(XML, tuple(_addresses(8)))}")
FAULTS: dict[str, dict[str, Any]] = {
    "gpu-partition": {"partition": "MIG"},
    "gpu-errors": {"uncorrected_errors": 1},
    "gpu-memory": {"memory_mib": 1},
}


def test_gpus_that_are_made_of_one_are_seen_as_the_recorded_ones() -> None:
    recorded = (CASES / "h200x4-idle.xml").read_text()
    made = simulation.several((simulation.RECORDED / "h200.xml").read_text(), tuple(_addresses(4)))
    seen = [nvidia.parse(f"status=0\ntoolkit=runtime\nours=\n\n{xml}").gpus for xml in (recorded, made)]
    assert seen[0] == seen[1]
    assert len(seen[0]) == 4


def test_one_gpu_is_the_recording_and_others_differ_in_what_tells_them_apart() -> None:
    assert simulation.several(XML, ("0000:00:06.0",)) == XML
    eight = GOOD.gpus
    assert [gpu.address for gpu in eight] == _addresses(8)
    assert len({gpu.uuid for gpu in eight}) == 8
    first = eight[0].model_dump(exclude={"index", "address", "uuid"})
    assert all(gpu.model_dump(exclude={"index", "address", "uuid"}) == first for gpu in eight)


def test_a_probe_that_could_not_run_is_a_finding() -> None:
    finding = unread("gpu-probe", ProbeError("gpu01: the amd probe failed", evidence=["sh: not found"]))
    assert (finding.check, finding.state, finding.evidence) == ("gpu-probe", "fail", ("sh: not found",))
    assert finding.fix


class Mute(LocalShell):
    """A host on which no command can be run."""

    def run(self, argv: Sequence[str], **_: Any) -> CommandResult:
        return CommandResult(tuple(argv), 126, "", "sh: cannot be run")


def test_looking_at_a_gpu_host_turns_a_probe_that_fails_into_a_finding_and_asks_nothing_of_a_cpu() -> None:
    console, _ = quiet()
    intent = gpu_host(accelerator="amd", hardware="mi300x")
    host = host_of(Target(intent, planned(intent)), console)
    host.shell = Mute()
    (finding,) = looking.gpu_findings(host, "")
    assert (finding.check, finding.state, finding.evidence) == ("gpu-probe", "fail", ("sh: cannot be run",))
    cpu = host_of(target(), console)
    cpu.shell = Mute()
    assert looking.gpu_findings(cpu, "") == ()


@given(st.text())
@pytest.mark.parametrize("parse", [nvidia.parse, amd.parse, pci.parse])
def test_what_no_parser_knows_is_refused_with_a_sentence(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ProbeError):
        parse(text)


@given(bad=st.sets(st.integers(0, 7)), check=st.sampled_from(sorted(FAULTS)))
def test_a_fault_fails_where_the_plan_uses_the_gpu_and_warns_elsewhere(bad: set[int], check: str) -> None:
    gpus = tuple(gpu.model_copy(update=FAULTS[check]) if gpu.index in bad else gpu for gpu in GOOD.gpus)
    plan, promised = plan_for("nvidia", {})
    seen = GOOD.model_copy(update={"gpus": gpus})
    found = checks_gpu.before(plan, (), seen, catalog=catalogs.load(), promised=promised, provisioned=False)
    (finding,) = [finding for finding in found if finding.check == check]
    assert finding.state == ("fail" if bad & set(plan.gpus) else "warn" if bad else "ok")
    assert len(finding.evidence) == len(bad)


@pytest.mark.parametrize(("provisioned", "fix"), [(True, ".venv/bin/invoke provision --host gpu01"), (False, "on the")])
def test_what_is_missing_is_provisions_to_bring_where_it_may(provisioned: bool, fix: str) -> None:
    plan, promised = plan_for("nvidia", {})
    bare = AcceleratorFacts(driver="", detail="there is no nvidia-smi", cuda="", gpus=())
    bus = [PciDevice(address="0000:01:00.0", vendor="nvidia", kind="0302", id="10de:2330", driver="")]
    found = checks_gpu.before(plan, bus, bare, catalog=catalogs.load(), promised=promised, provisioned=provisioned)
    fixes = {finding.check: finding.fix for finding in found}
    assert fixes["gpu-driver"].startswith(fix)
    assert fixes["gpu-container"].startswith(fix)
