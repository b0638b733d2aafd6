"""Systems under a GPU driver: simulated hosts with one thing changed, through the probe's script, to the findings."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from devstral_fleet import catalog as catalogs
from devstral_fleet import checks_system
from devstral_fleet.errors import ProbeError
from devstral_fleet.facts import AcceleratorFacts, SystemFacts
from devstral_fleet.findings import Finding
from devstral_fleet.lab import simulation
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.probes import system
from devstral_fleet.shell import CommandResult, LocalShell
from devstral_fleet.workflows import looking
from devstral_fleet.workflows.planning import Target
from tests.support.hosts import host_of, quiet
from tests.support.intents import gpu_host, planned
from tests.support.simulated_root import SimulatedRoot

CASES = Path(__file__).parent / "cases" / "system"
LISTED = [
    (vendor, case) for vendor in ("nvidia", "amd") for case in yaml.safe_load((CASES / f"{vendor}.yml").read_text())
]
HARDWARE = {"nvidia": ("h100", "580.159.04"), "amd": ("mi300x", "6.16.13")}
RULES = catalogs.load().runtimes.hosts


def plan_for(vendor: str) -> DeploymentPlan:
    return planned(gpu_host(accelerator=vendor, hardware=HARDWARE[vendor][0], model="devstral-2", gpu_count=8))


class Machine(SimulatedRoot):
    """A simulated host's files, some of them changed."""

    @classmethod
    def of(cls, root: Path, case: dict[str, Any]) -> "Machine":
        here = cls(root)
        here.fill(case)
        return here

    def seen(self) -> SystemFacts:
        return system.parse(run(f"root={self.root}\n{system.SCRIPT}"))


def run(script: str, path: str = os.environ["PATH"]) -> str:
    done = subprocess.run(
        system.command(), input=script, capture_output=True, text=True, env={**os.environ, "PATH": path}, check=True
    )
    assert done.stderr == ""
    return done.stdout


def wanted_of(vendor: str) -> tuple[str, ...]:
    return catalogs.load().provisioning.boot_parameters.get(vendor, ())


def judged(vendor: str, case: dict[str, Any], seen: SystemFacts) -> dict[str, Finding]:
    driver = AcceleratorFacts(driver=case.get("driver", HARDWARE[vendor][1]), detail="", cuda="", gpus=())
    found = checks_system.before(
        plan_for(vendor), seen, driver, rules=RULES, wanted=wanted_of(vendor), provisioned=True
    )
    assert len({finding.check for finding in found}) == len(found)
    return {finding.check: finding for finding in found}


@pytest.mark.parametrize(("vendor", "case"), LISTED, ids=[f"{vendor}: {case['name']}" for vendor, case in LISTED])
def test_what_is_found(vendor: str, case: dict[str, Any], tmp_path: Path) -> None:
    seen = Machine.of(tmp_path, case).seen()
    facts = seen.model_dump(mode="json")
    assert {key: facts[key] for key in case.get("facts", {})} == case.get("facts", {})

    found = judged(vendor, case, seen)

    assert {name: finding.state for name, finding in found.items() if finding.state != "ok"} == case.get("findings", {})
    changed = {finding.check for finding in checks_system.drift(plan_for(vendor), seen)}
    assert changed == set(case.get("findings", {})) & set(checks_system.DRIFT)
    for finding in found.values():
        assert bool(finding.fix) == (finding.state != "ok"), finding
    for name, words in case.get("says", {}).items():
        said = "\n".join((found[name].summary, found[name].fix, *found[name].evidence))
        assert [word for word in words if word not in said] == [], said


@pytest.mark.parametrize(
    ("provisioned", "fixes"),
    [
        (True, [".venv/bin/invoke provision --host gpu01"] * 2),
        (False, ["on the host: add iommu=pt", "on the host: echo kernel."]),
    ],
)
def test_provision_is_the_fix_where_it_may_change_the_host(provisioned: bool, fixes: list[str], tmp_path: Path) -> None:
    seen = Machine.of(tmp_path, LISTED[0][1]).seen().model_copy(update={"numa_balancing": True})
    driver = AcceleratorFacts(driver=HARDWARE["nvidia"][1], detail="", cuda="", gpus=())
    found = checks_system.before(
        plan_for("nvidia"), seen, driver, rules=RULES, wanted=("iommu=pt",), provisioned=provisioned
    )
    said = [each.fix for each in found if each.check in {"boot-parameters", "numa-balancing"}]
    assert [text.startswith(fix) for text, fix in zip(said, fixes, strict=True)] == [True, True]


def test_every_check_fires_and_each_case_says_where_it_is_from(tmp_path: Path) -> None:
    clean = Machine.of(tmp_path, LISTED[0][1]).seen()
    checks = set(judged("nvidia", {}, clean)) | set(judged("amd", {}, clean))
    fired = {name for _, case in LISTED for name in case.get("findings", {})}
    assert checks - fired == set()
    assert all(case["provenance"].split(":")[0] in {"recorded", "derived", "written"} for _, case in LISTED)


@pytest.mark.parametrize("name", ["h100", "h100x8", "mi300x", "mi300xx8"])
def test_simulated_hosts_are_clean(name: str, tmp_path: Path) -> None:
    vendor = simulation.named(name).recording.accelerator
    found = judged(vendor, {}, Machine.of(tmp_path, {"host": name}).seen())
    assert {finding.state for finding in found.values()} == {"ok"}


def test_a_real_h100_host_is_clean() -> None:
    """Recorded on a GPU machine without network (Ubuntu 24.04, 2026-11-26); the name of its kernel and the command line
    were replaced. Its driver is no package, and its process 1 is not systemd."""
    seen = system.parse((CASES / "h100.txt").read_text())
    assert (seen.modules, seen.loaded, seen.log) == (("nvidia",), {"nvidia": "580.159.04"}, ())
    found = judged("nvidia", {}, seen)
    assert {name: finding for name, finding in found.items() if finding.state != "ok"} == {}


def test_this_machine_can_be_looked_at() -> None:
    seen = system.read(LocalShell())
    assert seen.kernel == os.uname().release
    assert seen.boot_free_mib > 0
    assert seen.packages is not None


def test_real_programs_are_asked_and_their_silence_is_no_pass(tmp_path: Path) -> None:
    for name, text in {
        "dpkg-query": "printf 'ii  bash 5.2\\niF  nvidia-open 580.1-1\\nii  amdgpu-dkms 1:6.16\\nrc  old 1\\n'",
        "dmesg": "echo 'dmesg: read kernel buffer failed: Operation not permitted' >&2; exit 1",
        "sudo": "exit 1",
        "journalctl": "exit 1",
        "systemctl": "echo inactive; exit 3",
        "dkms": "echo 'nvidia/580.1, 6.1.0-28-amd64, x86_64: installed'",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    seen = system.parse(run(f"root=\n{system.SCRIPT}", f"{tmp_path}{os.pathsep}{os.environ['PATH']}"))

    assert [package.name for package in seen.packages or ()] == ["nvidia-open", "amdgpu-dkms"]
    assert seen.log is None
    assert seen.fabric_manager == "inactive"
    assert [(build.module, build.version, build.kernel) for build in seen.builds] == [
        ("nvidia", "580.1", "6.1.0-28-amd64")
    ]
    (tmp_path / "dmesg").write_text(
        "#!/bin/sh\necho '[1.0] Linux version'\necho '[2.0] NVRM: Xid (PCI:0000:00:06): 79, x'\n"
    )
    assert system.parse(run(f"root=\n{system.SCRIPT}", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")).log == (
        "[2.0] NVRM: Xid (PCI:0000:00:06): 79, x",
    )


class Mute(LocalShell):
    """A host on which no command can be run."""

    def run(self, argv: Sequence[str], **_: Any) -> CommandResult:
        return CommandResult(tuple(argv), 126, "", "sh: cannot be run")


def test_a_probe_that_could_not_run_is_a_finding() -> None:
    console, _ = quiet()
    intent = gpu_host(accelerator="nvidia", hardware="h100")
    host = host_of(Target(intent, planned(intent)), console)
    host.shell = Mute()
    seen = AcceleratorFacts(driver="580.159.04", detail="", cuda="", gpus=())
    (finding,) = looking.system_findings(host, seen)
    assert (finding.check, finding.state, finding.evidence) == ("system-probe", "fail", ("sh: cannot be run",))
    assert finding.fix


@given(st.text())
def test_what_the_parser_does_not_know_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ProbeError):
        system.parse(text)
