"""What earlier runs proved of a release on its host, so that one report of its speed tells all that is known of it."""

from collections.abc import Iterable, Iterator

from devstral_fleet.findings import Finding
from devstral_fleet.report.model import HostReport, Proof, RunReport

ACCEPTANCE = frozenset({"host-bandwidth", "all-reduce", "diagnostics", "all-to-all"})
"""Findings after `doctor --acceptance` that it alone measures; each has a name in `checks_diagnostics`."""
LOOKED = frozenset({*ACCEPTANCE, "gpu-start"})
"""And the one beside them that every look at a host makes (`checks_start`)."""
TOOL_CASE = "tools-"
"""How a finding of `verify --tools` begins."""
KINDS = ("accuracy", "tool_cases", "acceptance", "startup")
"""Fields of a proof that each may come from another run."""


def tool_cases(host: HostReport) -> tuple[Finding, ...]:
    """Return the cases that this run asked."""
    return tuple(each for each in host.smoke if each.check.startswith(TOOL_CASE))


def acceptance(host: HostReport) -> tuple[Finding, ...]:
    """Return what this run measured of the host's GPUs."""
    return tuple(each for each in host.findings_after if each.check in LOOKED)


def earlier(host: str, release: str, reports: Iterable[RunReport]) -> tuple[Proof, ...]:
    """Return the newest proof of each kind, as few runs as have them.

    Args:
        release: id of the release that is told about; a proof of another one says nothing, but for acceptance.
        reports: newest first; no more are read than are needed.
    """
    found: list[Proof] = []
    missing = set(KINDS)
    for run in reports:
        for proof in _proofs(run, host, release):
            new = {kind for kind in missing if getattr(proof, kind)}
            missing -= new
            found += [_only(proof, new)] if new else []
        if not missing:
            break
    return tuple(found)


def _proofs(run: RunReport, host: str, release: str) -> Iterator[Proof]:
    """What a run proved on a host."""
    for one in run.hosts:
        if one.host != host:
            continue
        same = bool(release) and one.release == release
        measured = acceptance(one)
        start = one.startup if same and one.startup and one.startup.release == release else None
        yield Proof(
            run=run.run,
            finished=run.finished,
            accuracy=one.accuracy if same else (),
            tool_cases=tool_cases(one) if same else (),
            acceptance=measured if any(each.check in ACCEPTANCE for each in measured) else (),
            startup=start,
            earlier_startups=one.earlier_startups if start else (),
            tasks=one.tasks if start else (),
        )


def _only(proof: Proof, kinds: set[str]) -> Proof:
    """Leave out what a newer run has proved."""
    fields = {*kinds, *(("earlier_startups", "tasks") if "startup" in kinds else ())}
    return Proof(run=proof.run, finished=proof.finished, **{name: getattr(proof, name) for name in fields})


def told(host: HostReport, kind: str) -> tuple[Proof, str]:
    """Return who proved a kind, and a sentence that says so: this run itself, without one; else an earlier run."""
    own = Proof(
        run="",
        finished="",
        accuracy=host.accuracy,
        tool_cases=tool_cases(host),
        acceptance=acceptance(host),
        startup=host.startup,
        earlier_startups=host.earlier_startups,
        tasks=host.tasks,
    )
    if getattr(own, kind):
        return own, ""
    proof = next((each for each in host.proofs if getattr(each, kind)), None)
    return (proof, f"Run {proof.run}, {proof.finished}.") if proof else (own, "")
