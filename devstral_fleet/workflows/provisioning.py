"""What `provision` and `deploy` share: a host's provision plan, the playbook, and the look at what came of it."""

from collections.abc import Iterable

from devstral_fleet import catalog as catalogs
from devstral_fleet import drivers, provision, rolevars, rolevars_provision
from devstral_fleet.drivers import Seen
from devstral_fleet.errors import ConfigurationError, VerificationError
from devstral_fleet.findings import Finding
from devstral_fleet.playbook import PlaybookOutcome
from devstral_fleet.probes import pci as pci_probe
from devstral_fleet.probes import system as system_probe
from devstral_fleet.provision import ProvisionPlan
from devstral_fleet.workflows import looking
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.host import Host

PLAYBOOK = "provision.yml"
LOCK_WAIT_S = 300
"""Unattended upgrades take minutes."""


def helps(host: Host, seen: Iterable[Finding]) -> bool:
    """Tell whether a host is bare, and may be provisioned.

    One whose Docker is installed and does not answer is not: somebody may have stopped it for a reason.
    """
    failed = {finding.check for finding in seen if finding.state == "fail"}
    if not provision.possible(host.target.intent, looking.seen_facts(host), catalogs.load()):
        return False
    return ("docker" in failed and not host.docker().detail) or ("gpu-driver" in failed and _driverless(host))


def _driverless(host: Host) -> bool:
    """Tell whether a host has its GPUs, and nothing that was installed for them."""
    accelerator, gpus = host.target.intent.accelerator, host.record.known["gpus"]
    there = any(device.vendor == accelerator for device in pci_probe.read(host.shell))
    return there and not drivers.installed(accelerator, system_probe.read(host.shell), gpus)


def plan(host: Host) -> ProvisionPlan:
    """Look at a host's system and decide what it gets.

    Raises:
        ConfigurationError: the inventory says hands off, the user there is not root, or the system is not known.
    """
    intent = host.target.intent
    if not intent.provision:
        raise ConfigurationError(
            f"{host.name}: fleet_provision is false, so nothing is installed there",
            fix=f"leave it out for {host.name}, or install what .venv/bin/invoke doctor --host {host.name} names",
            host=host.name,
        )
    facts = looking.seen_facts(host)
    if not provision.is_root(intent, facts):
        raise ConfigurationError(
            f"{host.name}: packages are installed by root, and the user there is {facts.user}",
            fix="set ansible_become: true for a user who may use sudo",
            host=host.name,
        )
    docker = host.docker()
    has_docker = bool(docker.version or docker.detail)
    wanted = provision.resolve(intent, facts, catalogs.load(), has_docker=has_docker, seen=_seen(host))
    tried = "" if wanted.proven == "converged" else ", as its documents say: never tried on one"
    driver = f", {drivers.said(wanted.driver)}" if wanted.driver else ""
    said = f"{wanted.system}{tried}: {len(wanted.packages)} packages{driver}; a reboot only where one asks for it"
    host.record.console.host(host.name, said)
    return wanted


def _seen(host: Host) -> Seen | None:
    """Look at a GPU host's cards and the system under them."""
    probe = looking.GPU_PROBES.get(host.target.intent.accelerator)
    if probe is None:
        return None
    serving = host.service().begun
    system, bus = system_probe.read(host.shell), pci_probe.read(host.shell)
    return Seen(system=system, bus=bus, gpus=probe(host.shell, host.layout), serving=serving)


def converge(converging: Converging, wanted: ProvisionPlan) -> PlaybookOutcome:
    """Install and start what is missing; a driver may want a reboot before it can be proven.

    Raises:
        PlaybookError: a task failed.
    """
    host = converging.host
    with host.record.phase("provision"):
        return converging.play(PLAYBOOK, _variables(host, wanted))


def prove(host: Host, wanted: ProvisionPlan) -> None:
    """Require what a plan gives a host; a driver that still waits for a reboot was said, and is not asked.

    Raises:
        VerificationError: Docker, the driver or NVIDIA's runtime does not answer.
    """
    if wanted.docker and not (docker := host.docker()).version:
        raise _silent(host, "no Docker engine answers", "on the host: sudo systemctl status docker", docker.detail)
    if wanted.driver is None:
        return
    seen = _seen(host)
    if seen is None or drivers.waits(wanted.driver.vendor, seen.system):
        return
    fix = f".venv/bin/invoke doctor --host {host.name} says why"
    if not seen.gpus.driver:
        raise _silent(host, f"no {drivers.WORDS[wanted.driver.vendor]} driver answers", fix, seen.gpus.detail)
    if wanted.driver.runtime == "nvidia" and "runtime" not in seen.gpus.toolkit:
        raise _silent(host, "Docker does not know NVIDIA's runtime", fix, "")


def _silent(host: Host, what: str, fix: str, detail: str) -> VerificationError:
    evidence = (detail,) if detail else ()
    return VerificationError(
        f"{host.name}: everything is installed, and {what}", fix=fix, evidence=evidence, host=host.name
    )


def preview(converging: Converging) -> None:
    """Show on one host what would be installed and started; nothing is changed, no lock is taken."""
    host = converging.host
    wanted = plan(host)
    with host.record.phase("check"):
        outcome = converging.play(PLAYBOOK, _variables(host, wanted), check=True)
    converging.show_changes(outcome)


def _variables(host: Host, wanted: ProvisionPlan) -> rolevars.RoleVariables:
    return rolevars_provision.provision(wanted, python=host.target.intent.python, lock_wait_s=LOCK_WAIT_S)
