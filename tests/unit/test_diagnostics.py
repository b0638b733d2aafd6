"""The vendors' own diagnostics: what they say, how it is judged, and what comes of it on a host."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstral_fleet import catalog as catalogs
from devstral_fleet import checks_diagnostics
from devstral_fleet.errors import VerificationError
from devstral_fleet.facts import AcceleratorFacts, DiagnosticsFacts
from devstral_fleet.findings import Finding, finding
from devstral_fleet.intent import Connection
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.probes import diagnostics
from devstral_fleet.shell import TIMED_OUT, CommandResult, LocalShell
from devstral_fleet.workflows import acceptance, looking
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Target
from tests.support.hosts import host_of, quiet
from tests.support.intents import gpu_host, planned

SAID = yaml.safe_load((Path(__file__).parent / "cases" / "diagnostics.yml").read_text())
EIGHT = {"gpu_count": 8, "tensor_parallel": 8}


def plan_of(hardware: str = "h100", **keys: Any) -> DeploymentPlan:
    return planned(gpu_host(accelerator=catalogs.load().gpu(hardware).accelerator, hardware=hardware, **keys))


def said(tool: str, name: str, status: int = 0) -> DiagnosticsFacts:
    result = CommandResult((), status, SAID[tool][name], "")
    return diagnostics.dcgm(result) if tool == "dcgm" else diagnostics.rvs(result)


@pytest.mark.parametrize(
    ("tool", "name", "status", "state", "words"),
    [
        ("dcgm", "passes", 0, "ok", "DCGM passes: software, memory"),
        ("dcgm", "fails", 226, "fail", "DCGM finds 1 faults: targeted_power: GPU 3: Max power of 410.2 did not reach"),
        ("dcgm", "third", 0, "warn", "DCGM passes: PCIe, with warnings"),
        ("dcgm", "leaves_all_out", 0, "fail", "DCGM tested nothing"),
        ("dcgm", "refuses", 1, "fail", "DCGM did not run: Unable to complete diagnostic for group 0: a GPU is in use."),
        ("dcgm", "no_engine", 255, "fail", "DCGM did not run: Error: Unable to connect to host engine."),
        ("rvs", "passes", 0, "ok", "RVS passes: gst-fp16, mem-quick"),
        ("rvs", "passes", 1, "fail", "RVS finds 1 faults: it ended with 1"),
        ("rvs", "fails", 0, "fail", "RVS finds 1 faults: [RESULT] [702.220117] [gst-fp16] gst 45056 target_stress"),
        ("rvs", "breaks", 0, "fail", "device 45056 is lost"),
    ],
)
def test_what_they_say_is_judged(tool: str, name: str, status: int, state: str, words: str) -> None:
    found = checks_diagnostics.diagnostics(plan_of(), said(tool, name, status))
    assert (found.check, found.state) == ("diagnostics", state)
    assert words in found.summary


@pytest.mark.parametrize(
    ("status", "stderr", "words", "fix"),
    [
        (127, "sh: 1: exec: dcgmi: not found", "DCGM is not on the host", "fleet_diagnostics: true"),
        (TIMED_OUT, "", "it did not end in its time", "nvidia-dcgm"),
        (1, "", "it ended with 1 and said nothing", "nvidia-dcgm"),
    ],
)
def test_what_did_not_run_is_no_pass(status: int, stderr: str, words: str, fix: str) -> None:
    found = checks_diagnostics.diagnostics(plan_of(), diagnostics.dcgm(CommandResult((), status, "", stderr)))
    assert found.state == "fail"
    assert words in found.summary
    assert fix in found.fix


@pytest.mark.parametrize(
    ("hardware", "average", "state", "words"),
    [
        ("mi300x", 51.417, "ok", "51.417 GB/s, 32.9 are enough"),
        ("mi300x", 20.0, "fail", "20 GB/s, 32.9 are usual"),
        ("mi300x", 0.0, "fail", "measured nothing"),
        ("mi325x", 51.4, "warn", "51.4 GB/s"),
        ("mi300x", None, "warn", "TransferBench is not on the host"),
    ],
)
def test_links_are_judged_by_their_kind(hardware: str, average: float | None, state: str, words: str) -> None:
    found = checks_diagnostics.all_to_all(plan_of(hardware, **EIGHT), catalogs.load().gpu(hardware), average)
    assert (found.check, found.state) == ("all-to-all", state)
    assert words in found.summary


class Answering(LocalShell):
    """This machine, on which the vendors' programs answer as the cases have it."""

    def __init__(self, answers: dict[str, tuple[int, str]]) -> None:
        super().__init__("gpu01")
        self.answers = answers

    def run(self, argv: Sequence[str], **options: Any) -> CommandResult:
        for program, (status, text) in self.answers.items():
            if program in argv:
                return CommandResult(tuple(argv), status, text, "")
        return super().run(argv, **options)


def test_transferbench_is_read() -> None:
    assert diagnostics.all_to_all(Answering({"a2a": (0, SAID["transferbench"]["measures"])})) == 51.417
    assert diagnostics.all_to_all(Answering({"a2a": (1, SAID["transferbench"]["measures"])})) == 0
    assert diagnostics.all_to_all(Answering({"a2a": (127, "")})) is None


@pytest.mark.parametrize(
    ("hardware", "count", "program", "text", "left_behind", "checks"),
    [
        ("h100", 1, "dcgmi", SAID["dcgm"]["passes"], "ok", ["gpu-start", "host-bandwidth", "diagnostics", "gpu-ecc"]),
        ("h100", 1, "dcgmi", SAID["dcgm"]["passes"], "fail", ["gpu-start", "host-bandwidth", "diagnostics", "gpu-ecc"]),
        ("h100", 1, "dcgmi", SAID["dcgm"]["fails"], "ok", ["gpu-start", "host-bandwidth", "diagnostics", "gpu-ecc"]),
        ("mi300x", 2, "rvs", SAID["rvs"]["passes"], "ok", None),
    ],
)
def test_a_full_acceptance_ends_with_a_look_at_what_the_load_left_behind(
    hardware: str,
    count: int,
    program: str,
    text: str,
    left_behind: str,
    checks: list[str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console, shown = quiet()
    vendor = catalogs.load().gpu(hardware).accelerator
    local = Connection(kind="local")
    keys = {"accelerator": vendor, "hardware": hardware, "gpu_count": count, "tensor_parallel": count}
    intent = gpu_host(**keys, home=str(tmp_path), connection=local)
    host = host_of(Target(intent, planned(intent)), console)
    measured = json.dumps({"devices": count, "code": 0, "error": "", "speeds": [[54.9, 54.9]] * count})
    answers = {program: (0, text), "a2a": (0, SAID["transferbench"]["measures"])}
    host.shell = Answering(answers | dict.fromkeys(("libcuda.so.1", "libamdhip64.so"), (0, measured)))
    looks = iter(["ok", left_behind])

    def looked(looked_at: Host, _image: str) -> tuple[Finding, ...]:
        looked_at.record.known["gpus"] = AcceleratorFacts(driver="580", detail="", cuda="", gpus=())
        state: Any = next(looks)
        return (finding("gpu-ecc", state, "errors since boot", "look"),)

    monkeypatch.setattr(looking, "gpu_findings", looked)
    if left_behind == "fail" or "Fail" in text:
        with pytest.raises(VerificationError, match="not what they should be"):
            acceptance.accept_host(host, "run", 0, "full")
    else:
        acceptance.accept_host(host, "run", 0, "full")
    found = [each.check for each in host.record.report().findings_after]
    assert found == (checks or ["gpu-start", "host-bandwidth", "all-reduce", "diagnostics", "all-to-all", "gpu-ecc"])
    assert "tests all GPUs, at most 1 h" in shown.getvalue()
