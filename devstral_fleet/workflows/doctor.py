"""doctor: what would keep a deploy from working. Read-only."""

from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode
from devstral_fleet.findings import Finding
from devstral_fleet.workflows import looking
from devstral_fleet.workflows.host import opened
from devstral_fleet.workflows.planning import Ask, targets


def doctor(console: Console, ask: Ask) -> ExitCode:
    """Show every finding on every host; exit code 5 when one failed."""
    findings: dict[str, list[dict[str, object]]] = {}
    failed = False
    for target in targets(ask):
        with opened(target, console) as host:
            found = looking.findings(host)
        for finding in found:
            console.finding(target.name, finding)
        findings[target.name] = [finding.model_dump(mode="json") for finding in found]
        failed = failed or any(finding.state == "fail" for finding in found)
        console.host(target.name, _sentence(found))
    console.document(findings)
    return ExitCode.VERIFICATION if failed else ExitCode.OK


def _sentence(found: tuple[Finding, ...]) -> str:
    counts = {state: sum(finding.state == state for finding in found) for state in ("ok", "warn", "fail")}
    verdict = "not ready" if counts["fail"] else "ready for a deploy"
    return f"{verdict}: {counts['ok']} ok, {counts['warn']} warnings, {counts['fail']} failed"
