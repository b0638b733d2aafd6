"""doctor: what would keep a deploy from working. Read-only, all hosts at the same time."""

from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode, FleetError, worst
from devstral_fleet.findings import Finding
from devstral_fleet.workflows import looking
from devstral_fleet.workflows.host import survey
from devstral_fleet.workflows.planning import Ask, targets


def doctor(console: Console, ask: Ask) -> ExitCode:
    """Show every finding on every host; exit code 5 when one failed."""
    findings: dict[str, list[dict[str, object]]] = {}
    codes: list[ExitCode] = []
    for target, seen in survey(targets(ask), console, looking.findings):
        if isinstance(seen, FleetError):
            console.error(seen)
            codes.append(seen.code)
            continue
        for finding in seen:
            console.finding(target.name, finding)
        findings[target.name] = [finding.model_dump(mode="json") for finding in seen]
        codes.extend(ExitCode.VERIFICATION for finding in seen if finding.state == "fail")
        console.host(target.name, _sentence(seen))
    console.document(findings)
    return worst(codes)


def _sentence(found: tuple[Finding, ...]) -> str:
    counts = {state: sum(finding.state == state for finding in found) for state in ("ok", "warn", "fail")}
    simulated = any(finding.check == "simulated" for finding in found)
    verdict = "not ready" if counts["fail"] else "clean, and simulated" if simulated else "ready for a deploy"
    return f"{verdict}: {counts['ok']} ok, {counts['warn']} warnings, {counts['fail']} failed"
