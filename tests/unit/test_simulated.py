"""Simulated hosts of the lab: their names, what is put on them, their lines of the inventory, and no deploy to one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from docker.models.containers import Container

from devstral_fleet import inventory as inventories
from devstral_fleet.errors import ConfigurationError, ExitCode, VerificationError
from devstral_fleet.inventory.keys import read_intent
from devstral_fleet.lab import LabHost, inventory, simulation
from devstral_fleet.layout import SIMULATED, SIMULATION, HostLayout
from devstral_fleet.probes import host as host_probe
from devstral_fleet.probes import place
from devstral_fleet.shell import CommandResult, LocalShell
from devstral_fleet.workflows import looking
from tests.support.hosts import host_of, quiet, target
from tests.support.intents import planned

RECORDED = sorted(path.stem for path in simulation.RECORDED.glob("*.yml"))


def test_names_are_gpus_of_the_catalog_with_their_number() -> None:
    found = simulation.parse("h100x8, mi300x,mi300xx2,h100x8,h100")
    assert [(each.host, each.gpu, each.count) for each in found] == [
        ("sim-h100x8", "h100", 8),
        ("sim-mi300x", "mi300x", 1),
        ("sim-mi300xx2", "mi300x", 2),
        ("sim-h100", "h100", 1),
    ]
    assert simulation.parse("") == ()


@pytest.mark.parametrize("word", ["b200", "h100x9", "h100x1", "h100x0", "h100x", "H100", "mi300", "x8", "../h100"])
def test_what_was_not_recorded_is_refused_with_what_was(word: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no recording of that") as caught:
        simulation.parse(f"mi300x,{word}")
    assert caught.value.code == ExitCode.CONFIGURATION
    assert caught.value.fix == "known: h100, h100x2 to h100x8, h200, h200x2 to h200x8, mi300x, mi300xx2 to mi300xx8"


@pytest.mark.parametrize("gpu", RECORDED)
def test_each_recording_says_where_it_is_from(gpu: str) -> None:
    assert "# Provenance: " in (simulation.RECORDED / f"{gpu}.yml").read_text()


@pytest.mark.parametrize("gpu", RECORDED)
def test_what_is_put_on_a_host_lies_where_nothing_real_does(gpu: str) -> None:
    each = simulation.named(gpu)
    outside = {path for path in each.files() if not Path(path).is_relative_to(SIMULATION)}
    marks = {path for path in outside if path.startswith("/opt/devstral-fleet/models/devstral-")}
    assert len(marks) == 2
    assert outside - marks - {"/etc/docker/daemon.json"} == {str(SIMULATED)}
    assert each.files()[str(SIMULATED)] == f"{gpu}\n".encode()
    for path, text in each.programs().items():
        assert path.startswith("/usr/bin/nvidia-")
        assert b"simulated" in text


def lab_hosts(*names: str) -> list[LabHost]:
    """Hosts of a lab, simulated where a name says so; their containers are not looked at."""
    simulated = [name.removeprefix("sim-") if name.startswith("sim-") else "" for name in names]
    return [
        LabHost(name, "127.0.0.2", 2200 + number, Path("/lab") / name, Container(), simulated[number])
        for number, name in enumerate(names)
    ]


def _groups(hosts: Sequence[LabHost]) -> dict[str, Any]:
    groups: dict[str, Any] = yaml.safe_load(inventory.text(hosts))["all"]["children"]
    return groups


def test_simulated_hosts_have_a_group_of_their_own() -> None:
    groups = _groups(lab_hosts("lab01", "sim-h100x8", "sim-mi300x"))
    assert list(groups) == ["lab", "lab_simulated"]
    assert list(groups["lab"]["hosts"]) == ["lab01"]
    assert _groups(lab_hosts("lab01")).keys() == {"lab"}
    hosts = groups["lab_simulated"]["hosts"]
    intents = {name: read_intent(name, variables, Path("/lab/hosts.yml")).intent for name, variables in hosts.items()}
    plans = {name: planned(intent) for name, intent in intents.items() if intent}
    assert [(plan.accelerator, plan.hardware, plan.gpus) for plan in plans.values()] == [
        ("nvidia", "h100", (0,)),
        ("amd", "mi300x", (0,)),
    ]
    for name, plan in plans.items():
        mark = HostLayout.of(plan.home).model(plan.files.directory) / "config.json"
        assert str(mark) in simulation.named(name.removeprefix("sim-")).files()


def test_the_whole_inventory_is_one_that_ansible_reads(tmp_path: Path) -> None:
    inventory.write(tmp_path / "hosts.yml", lab_hosts("lab01", "sim-h100x8"))
    (host,) = inventories.load(tmp_path / "hosts.yml", "lab_simulated")
    assert (host.name, host.accelerator, host.hardware, host.gpu_count) == ("sim-h100x8", "nvidia", "h100", 8)
    assert [each.name for each in inventories.load(tmp_path / "hosts.yml", "lab")] == ["lab01"]


class Marked(LocalShell):
    """This machine, whose host probe says that it is simulated."""

    def run(self, argv: Sequence[str], **options: Any) -> CommandResult:
        result = super().run(argv, **options)
        said = result.stdout.replace("simulated=\n", "simulated=h100x8\n")
        return CommandResult(result.argv, result.exit_status, said, result.stderr)


def test_a_deploy_refuses_a_simulated_host_and_no_real_one(tmp_path: Path) -> None:
    console, _ = quiet()
    real = host_of(target(tmp_path), console)
    looking.require_real(real)
    real.shell = Marked()
    with pytest.raises(
        VerificationError, match=r"this host is simulated \(h100x8\); nothing can be deployed"
    ) as caught:
        looking.require_real(real)
    assert caught.value.code == ExitCode.VERIFICATION
    assert "--check" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_nothing_but_the_mark_sends_a_probe_elsewhere(tmp_path: Path) -> None:
    """Neither an argument nor the environment does, on a host without the mark."""
    assert not Path(SIMULATED).exists()
    assert place.SCRIPT.strip().splitlines()[-1].startswith("root=${simulated:+/")
    facts = host_probe.parse(
        LocalShell()
        .run(
            host_probe.command(str(tmp_path), "python3"),
            stdin=place.SCRIPT + host_probe.SCRIPT,
            environment={"root": "/nowhere", "simulated": "h100x8"},
        )
        .stdout
    )
    assert facts.simulated == ""
    assert facts.memory_gib > 0
