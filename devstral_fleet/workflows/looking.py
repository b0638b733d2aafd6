"""Look at a host before anything is changed, and decide what its deploy must do."""

import time
from datetime import UTC, datetime

from devstral_fleet import catalog as catalogs
from devstral_fleet import checks, checks_docker, releases, rolevars
from devstral_fleet.findings import Finding
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.probes import host as host_probe
from devstral_fleet.probes import port as port_probe
from devstral_fleet.releases import ReleaseDecision
from devstral_fleet.workflows.host import Host


def findings(host: Host) -> tuple[Finding, ...]:
    """Everything that would keep a deploy from working on this host."""
    facts = host_probe.read(host.shell, host.layout, python=host.target.intent.python)
    host.record.known["facts"] = facts
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
    return (*found, *checks_docker.before(host.plan, docker, by_systemd=manager == "systemd"))


def python_minimum(plan: DeploymentPlan) -> str:
    """Oldest Python that the planned engine runs on."""
    version = catalogs.load().engine(plan.sglang_version)
    return version.python_minimum


def before(host: Host) -> ReleaseDecision:
    """Require a host that is ready, and decide: keep the release that serves, restart it, or start a new one."""
    host.record.require("findings_before", findings(host), "the host is not ready")
    found = host.releases()
    decision = releases.decide(host.plan, found, host.service(), datetime.now(UTC))
    host.record.known.update(release=decision.release_id, previous_release=found.current)
    return decision
