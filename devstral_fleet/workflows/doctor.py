"""doctor: what would keep a deploy from working. Read-only."""

from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode, worst
from devstral_fleet.findings import Finding
from devstral_fleet.workflows import looking
from devstral_fleet.workflows.host import Host, each
from devstral_fleet.workflows.planning import Ask, targets


def doctor(console: Console, ask: Ask) -> ExitCode:
    """Show every finding on every host; exit code 5 when one failed."""
    findings: dict[str, list[dict[str, object]]] = {}
    judged: list[ExitCode] = []

    def look(host: Host) -> None:
        found = looking.findings(host)
        for finding in found:
            console.finding(host.name, finding)
        findings[host.name] = [finding.model_dump(mode="json") for finding in found]
        judged.extend(ExitCode.VERIFICATION for finding in found if finding.state == "fail")
        console.host(host.name, _sentence(found))

    code = each(targets(ask), console, look)
    console.document(findings)
    return worst([code, *judged])


def _sentence(found: tuple[Finding, ...]) -> str:
    counts = {state: sum(finding.state == state for finding in found) for state in ("ok", "warn", "fail")}
    simulated = any(finding.check == "simulated" for finding in found)
    verdict = "not ready" if counts["fail"] else "clean, and simulated" if simulated else "ready for a deploy"
    return f"{verdict}: {counts['ok']} ok, {counts['warn']} warnings, {counts['fail']} failed"
