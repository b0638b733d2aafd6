"""Do a host's GPUs start, and are they as fast as their kind? By real GPUs' recorded answers, some changed."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstral_fleet import catalog as catalogs
from devstral_fleet import checks_start
from devstral_fleet.errors import ConfigurationError, ProbeError, VerificationError
from devstral_fleet.facts import AcceleratorFacts, AllReduceFacts, GpuFacts, StartFacts
from devstral_fleet.findings import Finding
from devstral_fleet.intent import Connection
from devstral_fleet.lab import simulation
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.probes import gpu_start, nvidia
from devstral_fleet.shell import CommandResult, LocalShell
from devstral_fleet.workflows import acceptance, looking
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Ask, Target
from tests.support.hosts import host_of, quiet
from tests.support.intents import gpu_host, planned

SAID = yaml.safe_load((Path(__file__).parent / "cases" / "start.yml").read_text())
TWO = {"gpu_count": 2, "tensor_parallel": 2}
OFFLINE = ("HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1")
"""Of every plan whose files are on the host."""
FAST = AllReduceFacts(**json.loads(SAID["h100x2"]["all_reduce"]), error="")


class Answering(LocalShell):
    """A host on which every command answers the same."""

    def __init__(self, said: str, status: int = 0, stderr: str = "") -> None:
        super().__init__("gpu01")
        self.said, self.status, self.stderr = said, status, stderr
        self.asked: list[tuple[str, ...]] = []

    def run(self, argv: Sequence[str], **_: Any) -> CommandResult:
        self.asked.append(tuple(argv))
        return CommandResult(tuple(argv), self.status, self.said, self.stderr)


def plan_of(hardware: str = "h100", **keys: Any) -> DeploymentPlan:
    vendor = catalogs.load().gpu(hardware).accelerator
    return planned(gpu_host(accelerator=vendor, hardware=hardware, **keys))


def seen(said: str, **changed: Any) -> StartFacts:
    return StartFacts.model_validate_json(json.dumps({"place": "host", **json.loads(said), **changed}))


def test_a_runtime_is_started_in_the_engines_image_with_the_plans_gpus_and_no_network() -> None:
    shell = Answering(SAID["h200"]["start"])
    found = gpu_start.read(shell, plan_of(), "site/engine:1", "python3")
    (asked,) = shell.asked
    assert (found.place, found.devices, found.code) == ("container", 1, 0)
    assert asked[:7] == ("docker", "run", "--rm", "--interactive", "--network", "none", "--user")
    assert asked[asked.index("--gpus") + 1] == '"device=0"'
    assert asked[-6:] == ("--entrypoint", "python3", "site/engine:1", "-", "libcuda.so.1", "cu")


def test_before_there_is_an_image_it_is_started_on_the_host() -> None:
    shell = Answering(SAID["h200"]["measured"])
    found = gpu_start.read(shell, plan_of(), "", "/usr/bin/python3.12", measured=True)
    assert shell.asked == [("env", *OFFLINE, "/usr/bin/python3.12", "-", "libcuda.so.1", "cu", *gpu_start.COPY)]
    assert found.speeds == ((55.17, 55.03),)


def test_what_docker_says_when_it_hands_no_gpu_over_is_the_fact() -> None:
    words = "docker: Error response from daemon: could not select device driver with capabilities: [[gpu]]"
    found = gpu_start.read(Answering("", 125, words), plan_of(), "image", "python3")
    assert (found.code, found.error) == (-1, words)
    with pytest.raises(ProbeError):
        gpu_start.read(Answering("hello"), plan_of(), "image", "python3")
    assert gpu_start.all_reduce(Answering("", 1, words), plan_of(), "image").error == words


def test_the_script_itself_says_that_there_is_no_runtime() -> None:
    argv = [sys.executable, "-", "libnothing.so", "cu", "1", "1"]
    text = (gpu_start.SCRIPTS / "gpu_start.py").read_text()
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == SAID["h200"]["no_library"]


@pytest.mark.parametrize(
    ("facts", "state", "words", "fix"),
    [
        (seen(SAID["h200"]["start"]), "ok", "CUDA starts on the host: 1 GPUs", ""),
        (seen(SAID["h200"]["no_device"]), "fail", "CUDA_ERROR_NO_DEVICE (100)", "dmesg"),
        (seen(SAID["h200"]["no_library"]), "fail", "cannot open shared object file", "dmesg"),
        (seen(SAID["h200"]["start"], devices=0), "fail", "0 GPUs of 1", "dmesg"),
        (seen(SAID["h200"]["no_device"], code=802), "fail", "(802)", "nvidia-fabricmanager"),
        (seen(SAID["h200"]["no_device"], code=803), "fail", "(803)", "reboot"),
        (seen(SAID["h200"]["no_device"], code=804), "fail", "(804)", "newer driver"),
    ],
)
def test_how_a_start_is_judged(facts: StartFacts, state: str, words: str, fix: str) -> None:
    found = checks_start.start(plan_of(), facts)
    assert (found.check, found.state) == ("gpu-start", state)
    assert words in found.summary
    assert fix in found.fix


def accepted(
    hardware: str, facts: StartFacts, together: AllReduceFacts | None = None, **keys: Any
) -> dict[str, tuple[str, str]]:
    found = checks_start.acceptance(plan_of(hardware, **keys), catalogs.load().gpu(hardware), facts, together)
    return {finding.check: (finding.state, finding.summary) for finding in found}


@pytest.mark.parametrize(
    ("machine", "hardware", "count", "reduced"),
    [
        ("h200", "h200", 1, ""),
        ("h100x2", "h100", 2, "all_reduce"),
        ("h200x4", "h200", 4, "all_reduce"),
        ("h200x4", "h200", 2, "all_reduce_of_two"),
    ],
)
def test_recorded_gpus_are_accepted(machine: str, hardware: str, count: int, reduced: str) -> None:
    shell = Answering(SAID[machine].get(reduced, ""))
    plan = plan_of(hardware, gpu_count=count, tensor_parallel=count)
    together = gpu_start.all_reduce(shell, plan, "image") if reduced else None
    found = accepted(hardware, seen(SAID[machine]["measured"]), together, gpu_count=count, tensor_parallel=count)
    assert {check: state for check, (state, _) in found.items()} == {
        "gpu-start": "ok",
        "host-bandwidth": "ok",
        **({"all-reduce": "ok"} if reduced else {}),
    }


def test_a_card_in_half_a_slot_is_not_accepted() -> None:
    state, words = accepted("h100", seen(SAID["h100x2"]["measured"], speeds=[[54.9, 54.9], [27.1, 26.4]]), FAST, **TWO)[
        "host-bandwidth"
    ]
    assert state == "fail"
    assert "26.4 GB/s of host memory, 48 are usual for h100" in words


@pytest.mark.parametrize(
    ("together", "state", "words"),
    [
        (FAST.model_copy(update={"bus_gb_s": 40.0}), "fail", "40 GB/s bus bandwidth, 316 are usual"),
        (FAST.model_copy(update={"right": False}), "fail", "its sum is wrong"),
        (FAST.model_copy(update={"error": "NCCL: unhandled system error"}), "fail", "unhandled system error"),
        (None, "warn", "the engine's image is not there"),
    ],
)
def test_gpus_that_do_not_work_together(together: AllReduceFacts | None, state: str, words: str) -> None:
    found = accepted("h100", seen(SAID["h100x2"]["measured"]), together, **TWO)["all-reduce"]
    assert found[0] == state
    assert words in found[1]


@pytest.mark.parametrize("is_made", [True, False])
def test_native_gpus_are_measured_together_by_the_environment_that_will_serve(is_made: bool, tmp_path: Path) -> None:
    console, _ = quiet()
    native: dict[str, Any] = {"runtime": "native", "engine_requirements": "engine-cpu.lock", **TWO}
    intent = gpu_host(home=str(tmp_path), **native)
    host = host_of(Target(intent, planned(intent)), console)
    host.shell = shell = Answering(SAID["h100x2"]["all_reduce"], status=0 if is_made else 1)
    together = acceptance._together(host, "")
    assert together == (FAST if is_made else None)
    assert any(host.python()[0] in words and "-" in words for words in shell.asked) == is_made
    found = accepted("h100", seen(SAID["h100x2"]["measured"]), together, **native)["all-reduce"]
    assert found[0] == ("ok" if is_made else "warn")
    assert is_made or "environment is not there" in found[1]


def test_without_a_number_of_its_kind_nothing_is_called_good() -> None:
    assert accepted("l40s", seen(SAID["h200"]["measured"]))["host-bandwidth"][0] == "warn"
    four = {"gpu_count": 4, "tensor_parallel": 4}
    speeds = seen(SAID["h100x2"]["measured"], devices=4)
    assert accepted("h100", speeds, FAST, **four)["all-reduce"][0] == "warn"


def test_levels_and_hosts_that_there_are_not() -> None:
    console, _ = quiet()
    with pytest.raises(ConfigurationError, match="no such level"):
        acceptance.accept(console, Ask("local", ""), "endless", lock_wait_s=0)
    with pytest.raises(ConfigurationError, match="no GPU to measure"):
        acceptance.accept(console, Ask("local", ""), "quick", lock_wait_s=0)


def test_a_gpu_that_somebody_uses_is_not_measured(tmp_path: Path) -> None:
    console, _ = quiet()
    intent = gpu_host(home=str(tmp_path))
    host = host_of(Target(intent, planned(intent)), console)
    busy = {"index": 0, "processes": ({"pid": 7, "name": "train", "kind": "C", "memory_mib": 9, "ours": False},)}
    host.record.known["gpus"] = AcceleratorFacts(driver="580", detail="", cuda="", gpus=()).model_copy(
        update={"gpus": (gpu_with(busy),)}
    )
    with pytest.raises(VerificationError, match=r"train \(pid 7\) has a GPU"):
        acceptance._require_idle(host)


def gpu_with(changed: dict[str, Any]) -> GpuFacts:
    text = simulation.several((simulation.RECORDED / "h100.xml").read_text(), ("0000:00:06.0",))
    (gpu,) = nvidia.parse(f"status=0\ntoolkit=\nours=\n\n{text}").gpus
    return GpuFacts.model_validate({**gpu.model_dump(), **changed})


def test_a_driver_that_does_not_answer_is_not_started_and_neither_is_rocm_without_its_image(tmp_path: Path) -> None:
    console, _ = quiet()
    for vendor, hardware, driver in (("nvidia", "h100", ""), ("amd", "mi300x", "6.16.13")):
        intent = gpu_host(accelerator=vendor, hardware=hardware, home=str(tmp_path))
        host = host_of(Target(intent, planned(intent)), console)
        gpus = AcceleratorFacts(driver=driver, detail="", cuda="", gpus=())
        assert looking.start_findings(host, gpus, "") == ()


class Measured(LocalShell):
    """This machine, with a GPU that answers as a recorded one."""

    def run(self, argv: Sequence[str], **options: Any) -> CommandResult:
        if gpu_start.RUNTIMES["nvidia"][0] in argv:
            return CommandResult(tuple(argv), 0, SAID["h200"]["measured"], "")
        return super().run(argv, **options)


@pytest.mark.parametrize(("hardware", "outcome"), [("h200", "measured"), ("mi300x", "failed")])
def test_what_was_measured_stands_in_the_report(
    hardware: str, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, said = quiet()
    intent = gpu_host(hardware=hardware, home=str(tmp_path), connection=Connection(kind="local"))
    intent = intent.model_copy(update={"accelerator": catalogs.load().gpu(hardware).accelerator})
    host = host_of(Target(intent, planned(intent)), console)
    host.shell = Measured()

    def looked(looked_at: Host, _image: str) -> tuple[Finding, ...]:
        looked_at.record.known["gpus"] = AcceleratorFacts(driver="580", detail="", cuda="", gpus=())
        return ()

    monkeypatch.setattr(looking, "gpu_findings", looked)
    if outcome == "failed":  # ROCm is in the image, and this machine has none
        with pytest.raises(VerificationError, match="not what they should be"):
            acceptance.accept_host(host, "run", 0)
    else:
        acceptance.accept_host(host, "run", 0)
        assert "55.0 GB/s" in said.getvalue()
    report = host.record.report()
    assert report.outcome == outcome
    assert report.findings_after[0].check == "gpu-start"
