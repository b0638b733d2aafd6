"""Look at a host before anything is changed, and decide what its deploy must do."""

import time
from datetime import UTC, datetime

from devstral_fleet import catalog as catalogs
from devstral_fleet import (
    checks,
    checks_docker,
    checks_gpu,
    checks_start,
    checks_system,
    provision,
    releases,
    rolevars,
)
from devstral_fleet.errors import ProbeError, VerificationError
from devstral_fleet.facts import AcceleratorFacts, HostFacts
from devstral_fleet.findings import Finding, unread
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.probes import amd as amd_probe
from devstral_fleet.probes import gpu_start
from devstral_fleet.probes import host as host_probe
from devstral_fleet.probes import nvidia as nvidia_probe
from devstral_fleet.probes import pci as pci_probe
from devstral_fleet.probes import port as port_probe
from devstral_fleet.probes import system as system_probe
from devstral_fleet.releases import ReleaseDecision
from devstral_fleet.workflows import planning
from devstral_fleet.workflows.host import Host

GPU_PROBES = {"nvidia": nvidia_probe.read, "amd": amd_probe.read}


def facts_of(host: Host) -> HostFacts:
    """Look at a host's system and resources; the report keeps them, and the plan what is set for the GPUs there.

    Raises:
        PlanError: the inventory would override that.
    """
    names = planning.gpu_variables(host.plan.accelerator)
    facts = host_probe.read(host.shell, host.layout, python=host.target.intent.python, variables=names)
    host.record.known["facts"] = facts
    host.carry(facts.variables)
    return facts


def seen_facts(host: Host) -> HostFacts:
    """What this run saw last of a host's system and resources; a look at it where it has not looked yet."""
    known: HostFacts | None = host.record.known.get("facts")
    return known or facts_of(host)


def require_real(host: Host) -> None:
    """Refuse a simulated host of the lab; nothing was changed there, its lock included.

    Raises:
        VerificationError: it is one.
    """
    simulated = facts_of(host).simulated
    if simulated:
        raise VerificationError(
            f"{host.name}: this host is simulated ({simulated}); nothing can be deployed to it",
            fix=f".venv/bin/invoke deploy --host {host.name} --check shows what would change; deploy to another host",
            host=host.name,
        )


def findings(host: Host) -> tuple[Finding, ...]:
    """Everything that would keep a deploy from working on this host."""
    facts = facts_of(host)
    port, docker = port_probe.read(host.shell, host.plan.port), host.docker()
    found = checks.before(
        host.plan,
        facts,
        port,
        host.service(),
        host.releases(),
        rules=catalogs.load().runtimes.hosts,
        python_minimum=python_minimum(host.plan),
        controller_epoch_s=time.time(),
        published=docker.published,
    )
    become = host.target.intent.connection.become
    manager = rolevars.manager_for(facts.process_1, facts.user, become=become)
    found += checks_docker.before(
        host.plan,
        docker,
        by_systemd=manager == "systemd",
        system=provision.system_of(facts, catalogs.load()),
        provisioned=provision.possible(host.target.intent, facts, catalogs.load()),
    )
    return (*found, *gpu_findings(host, host.engine_image(docker)))


def gpu_findings(host: Host, image: str) -> tuple[Finding, ...]:
    """What the GPUs and their driver are not; a probe that cannot run is a finding, and no pass. Nothing on a CPU.

    Args:
        image: of the engine, '' where the host does not have it.
    """
    probe = GPU_PROBES.get(host.plan.accelerator)
    if probe is None:
        return ()
    try:
        bus, seen = pci_probe.read(host.shell), probe(host.shell, host.layout)
    except ProbeError as error:
        return (unread("gpu-probe", error),)
    host.record.known["gpus"] = seen
    promised = host.target.intent.gpu_count
    catalog = catalogs.load()
    provisioned = provision.possible(host.target.intent, seen_facts(host), catalog)
    found = checks_gpu.before(host.plan, bus, seen, catalog=catalog, promised=promised, provisioned=provisioned)
    return (*found, *start_findings(host, seen, image), *system_findings(host, seen))


def start_findings(host: Host, seen: AcceleratorFacts, image: str) -> tuple[Finding, ...]:
    """Whether a program can start on the GPUs. A simulated host has none, and an AMD host's runtime is in the image."""
    nobody = not image and host.plan.accelerator == "amd"
    if not seen.driver or nobody or seen_facts(host).simulated:
        return ()
    try:
        found = gpu_start.read(host.shell, host.plan, image, host.target.intent.python)
    except ProbeError as error:
        return (unread("gpu-start", error),)
    return (checks_start.start(host.plan, found),)


def system_findings(host: Host, seen: AcceleratorFacts) -> tuple[Finding, ...]:
    """What of the operating system keeps the driver from working, now or after the next reboot."""
    try:
        system = system_probe.read(host.shell)
    except ProbeError as error:
        return (unread("system-probe", error),)
    catalog = catalogs.load()
    provisioned = provision.possible(host.target.intent, seen_facts(host), catalog)
    wanted = catalog.provisioning.boot_parameters.get(host.plan.accelerator, ())
    rules = catalog.runtimes.hosts
    return checks_system.before(host.plan, system, seen, rules=rules, wanted=wanted, provisioned=provisioned)


def drift(host: Host) -> tuple[Finding, ...]:
    """What was changed under a GPU host's engine since it started; nothing on a CPU."""
    if host.plan.accelerator not in GPU_PROBES:
        return ()
    try:
        return checks_system.drift(host.plan, system_probe.read(host.shell))
    except ProbeError as error:
        return (unread("system-probe", error),)


def python_minimum(plan: DeploymentPlan) -> str:
    """Oldest Python that the planned engine runs on."""
    version = catalogs.load().engine(plan.sglang_version)
    return version.python_minimum


def decide(host: Host, seen: tuple[Finding, ...]) -> ReleaseDecision:
    """Require a host that is ready, and decide: keep the release that serves, restart it, or start a new one.

    Raises:
        VerificationError: something of what was seen keeps a deploy from working.
    """
    host.record.require("findings_before", seen, "the host is not ready")
    found = host.releases()
    decision = releases.decide(host.plan, found, host.service(), datetime.now(UTC))
    host.record.known.update(release=decision.release_id, previous_release=found.current)
    return decision
