"""Simulated GPU hosts of the lab: looked at and planned for as real ones are, and never deployed to."""

from collections.abc import Iterator

import pytest

from devstral_fleet import lab as labs
from devstral_fleet.lab.simulation import NVIDIA_SMI, PCI
from devstral_fleet.layout import SIMULATED, SIMULATION
from tests.support.fleet import succeeded
from tests.support.host_container import HostContainer, HostLab
from tests.support.lab_operator import Operator

HOSTS = {"sim-h100x8": "h100x8", "sim-mi300x": "mi300x"}
IMAGES = {"sim-h100x8": "-cu130", "sim-mi300x": "-rocm720-mi30x"}


@pytest.fixture(scope="module")
def operator(lab: HostLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A lab of its own beside the tests' one, with a host and two simulated ones."""
    here = Operator(lab.client, labs.Lab(tmp_path_factory.mktemp("operator") / "lab"))
    up = here.invoke("lab.up", "--hosts", "1", "--simulate", ",".join(HOSTS.values()), "--json")
    try:
        made = succeeded(up).document
        assert sorted(made["started"]) == ["lab01", *HOSTS]
        assert made["simulated"] == HOSTS
        yield here
    finally:
        succeeded(here.invoke("lab.down", "--keep-image"))
    assert here.left() == []


def everything(host: HostContainer) -> str:
    """Files of the home and images of the engine: what a deploy would change."""
    return host.root("sh", "-c", "find /opt/devstral-fleet -printf '%p %m %s %T@\\n' | sort; docker image ls --quiet")


def test_they_have_a_group_of_their_own(operator: Operator) -> None:
    assert list(succeeded(operator.on("lab_simulated", "plan", "--json")).document) == list(HOSTS)
    assert list(succeeded(operator.on("lab", "plan", "--json")).document) == ["lab01"]


def test_the_plan_shows_the_memory_arithmetic(operator: Operator) -> None:
    both = succeeded(operator.on("lab_simulated", "plan")).text
    assert "h100 x 1, container" in both
    assert "mi300x x 1, container" in both
    large = succeeded(operator.on("sim-h100x8", "plan", "--model=devstral-2")).text
    assert "GiB pool of 79.6 GiB a GPU, tensor parallel 4" in large
    refused = operator.on("sim-mi300x", "plan", "--model=devstral-2")
    assert refused.exit_code == 2, refused.text
    assert "the host has 1" in refused.text


@pytest.mark.parametrize("name", HOSTS)
def test_doctor_finds_a_clean_host_and_says_that_it_is_simulated(operator: Operator, name: str) -> None:
    seen = succeeded(operator.on(name, "doctor", "--json"))
    findings = {finding["check"]: finding for finding in seen.document[name]}
    states = {check: finding["state"] for check, finding in findings.items()}
    assert {check for check, state in states.items() if state != "ok"} == {"simulated"}
    assert f"simulated ({HOSTS[name]})" in findings["simulated"]["summary"]
    assert {"gpu-vendor", "gpu-driver", "gpu-count", "gpu-model", "gpu-memory", "gpu-container"} <= set(states)
    assert {"docker", "driver-build", "driver-package", "kernel-log", "secure-boot", "packages"} <= set(states)
    assert f"{name}  clean, and simulated" in operator.on(name, "doctor").text


@pytest.mark.parametrize("name", HOSTS)
def test_check_tells_what_would_change_and_changes_nothing(operator: Operator, name: str) -> None:
    before = everything(operator.host(name))
    told = succeeded(operator.on(name, "deploy", "--check"))
    assert "would change: image: Bring the image" in told.text
    assert IMAGES[name] in told.text
    assert "tasks would change something" in told.text
    assert everything(operator.host(name)) == before


@pytest.mark.parametrize("name", HOSTS)
def test_a_deploy_ends_before_anything_is_changed(operator: Operator, name: str) -> None:
    before = everything(operator.host(name))
    refused = operator.on(name, "deploy")
    assert refused.exit_code == 5, refused.text
    assert f"{name}: this host is simulated ({HOSTS[name]}); nothing can be deployed to it" in refused.text
    assert f"--host {name} --check" in refused.text
    assert everything(operator.host(name)) == before


def test_a_deploy_to_the_group_ends_with_its_first_host(operator: Operator) -> None:
    refused = operator.on("lab_simulated", "deploy")
    assert refused.exit_code == 5, refused.text
    assert "this host is simulated" in refused.text


def test_status_names_what_was_changed_behind_a_hosts_back(operator: Operator) -> None:
    host = operator.host("sim-mi300x")
    assert succeeded(operator.on("sim-mi300x", "status", "--json")).document[0]["drift"] == []
    modules = SIMULATION / "lib/modules"
    (kernel,) = host.root("ls", str(modules)).split()
    host.root("cp", "-r", f"{modules}/{kernel}", f"{modules}/99.0.0-1-generic")

    changed = succeeded(operator.on("sim-mi300x", "status"))

    host.root("rm", "-r", f"{modules}/99.0.0-1-generic")
    assert "the next boot takes kernel 99.0.0-1-generic" in changed.text
    assert "invoke doctor --host sim-mi300x" in changed.text


def test_a_planted_fault_is_found(operator: Operator) -> None:
    host = operator.host("sim-h100x8")
    answer = str(SIMULATION / NVIDIA_SMI)
    host.root("sed", "-i", "0,/<current_mig>Disabled/s//<current_mig>Enabled/", answer)
    host.root("sh", "-c", f"echo 0x74a1 >{SIMULATION}/{PCI}/0000:00:0d.0/device")
    host.root("sh", "-c", f"echo 0x1002 >{SIMULATION}/{PCI}/0000:00:0d.0/vendor")
    host.root("sh", "-c", f"echo 'NVRM: Xid (PCI:0000:00:06): 79, GPU has fallen off the bus.' >{SIMULATION}/said/log")
    found = operator.on("sim-h100x8", "doctor")
    assert found.exit_code == 5
    assert "the kernel log names a GPU that failed: Xid 79" in found.text
    assert "GPUs are partitioned: GPU 0" in found.text
    assert "GPUs of two vendors, NVIDIA and AMD" in found.text
    stopped = operator.on("sim-h100x8", "deploy", "--check")
    assert stopped.exit_code == 5
    assert "the host is not ready: the host has GPUs of two vendors" in stopped.text
    host.root("sh", "-c", r"printf '#!/bin/sh\necho GPU is lost\nexit 15\n' >/usr/bin/nvidia-smi")
    silent = operator.on("sim-h100x8", "doctor")
    assert silent.exit_code == 5
    assert "no NVIDIA driver answers" in silent.text
    assert "GPU is lost" in silent.text


def test_up_again_keeps_them(operator: Operator) -> None:
    written = operator.lab.inventory.read_text()
    again = succeeded(operator.invoke("lab.up", "--simulate", "h100x8", "--json")).document
    assert again["started"] == []
    assert again["simulated"] == HOSTS
    assert operator.lab.inventory.read_text() == written


def test_other_hosts_of_a_lab_have_no_mark(operator: Operator, lab: HostLab) -> None:
    for host in (operator.host("lab01"), *lab.hosts(1)):
        assert host.ssh("test", "-e", str(SIMULATED)).returncode == 1


def test_a_name_without_a_recording_is_refused(operator: Operator) -> None:
    refused = operator.invoke("lab.up", "--simulate", "h100x8,b300")
    assert refused.exit_code == 2
    assert "--simulate 'b300': there is no recording of that" in refused.stderr
    assert "known: h100, h100x2 to h100x8" in refused.stderr
