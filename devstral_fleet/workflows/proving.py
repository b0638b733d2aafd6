"""Is what serves what was planned, does it do what a served model must, and is it fast enough?"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from devstral_fleet import checks, checks_docker, health
from devstral_fleet.facts import EngineFacts, ServiceFacts, VersionsFacts
from devstral_fleet.findings import Finding
from devstral_fleet.probes import versions as versions_probe
from devstral_fleet.workflows.host import Host

if TYPE_CHECKING:
    from devstral_fleet.smoke import Check

SMOKE_TIMEOUT_S = 60.0


def prove(host: Host) -> None:
    """Wait for health, compare with the plan, ask; raise what fails first."""
    with host.record.phase("start"):
        engine = wait(host)
    with host.record.phase("smoke"):
        compare(host, engine)
        ask(host)
        host.record.console.result("ok")


def wait(host: Host) -> EngineFacts:
    """Wait until the engine is healthy, by the plan's deadline; a dead one shows its last log lines."""

    def read() -> tuple[ServiceFacts, EngineFacts]:
        return host.service(), host.engine()

    return health.wait(
        read,
        deadline_s=host.plan.health_deadline_s,
        clock=time.monotonic,
        sleep=time.sleep,
        on_state=lambda service, engine: host.record.console.step(f"{service.state}, /health {engine.health_status}"),
        log_tail=host.log_tail,
        host=host.name,
    )


def compare(host: Host, engine: EngineFacts) -> None:
    """Check that what runs is what was planned."""
    versions: VersionsFacts = versions_probe.read(host.shell, host.python("--interactive"))
    releases = host.releases()
    host.record.known.update(versions=versions, server_info=engine.server_info)
    host.record.known.setdefault("release", releases.serving)  # a deploy knows which one it makes
    findings = checks.after(host.plan, host.service(), engine, versions, releases)
    findings += checks_docker.after(host.plan, host.docker())
    host.record.require("findings_after", findings, "what serves is not what was planned")


def ask(host: Host, asked: "Mapping[str, Check] | None" = None) -> None:
    """Run the smoke checks, or others, through a forward to the endpoint."""
    from devstral_fleet import smoke  # its client takes a second to import, and a rollback asks nothing

    def show(finding: Finding) -> None:
        host.record.console.step(f"smoke: {finding.check} {finding.state}")

    with host.reached() as base_url:
        findings = smoke.run(
            base_url=base_url,
            api_key=host.api_key(),
            plan=host.plan,
            timeout_s=SMOKE_TIMEOUT_S,
            asked=asked,
            on_check=show,
        )
    host.record.require("smoke", findings, "the model does not answer as it must")
