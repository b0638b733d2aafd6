"""What is on a host, what to do with a plan there, and what rollback means (pure).

Words: a release *serves* when the link `serving` names it; it is *proven* when `current` or `previous` names it.
A serving release that is not `current` has not been proven: its deploy is under way, failed, or its controller died.
"""

import difflib
from datetime import datetime
from typing import Literal

from devstral_fleet.errors import ConfigurationError
from devstral_fleet.facts import ReleasesFacts, ServiceFacts
from devstral_fleet.model import Value
from devstral_fleet.plan import DeploymentPlan

KEPT_RELEASES = 5


class ReleaseDecision(Value):
    """What a deploy does to a host's releases."""

    kind: Literal["keep", "restart", "start"]
    """`keep`: it runs already and is not touched; `restart`: another one runs and is replaced; `start`: none runs."""
    release_id: str
    rollback_to: str
    """The newest proven release other than this one; '' where there is none to return to."""
    new: bool
    """True where the release's files do not exist yet."""
    reason: str
    """One sentence for the operator."""


def decide(plan: DeploymentPlan, facts: ReleasesFacts, service: ServiceFacts, now_utc: datetime) -> ReleaseDecision:
    """Choose the release for `plan`: an existing one where it serves or is current, else a new one.

    It holds after a killed controller too: nothing but the links, the release files and the service is looked at.
    """
    runs = service.begun
    release_id = _existing(plan.digest, facts)
    new = not release_id
    release_id = release_id or f"{now_utc:%Y%m%dT%H%M%SZ}-{plan.digest}"
    kind: Literal["keep", "restart", "start"] = "restart" if runs else "start"
    if runs and release_id == facts.serving:
        kind = "keep"
    return ReleaseDecision(
        kind=kind,
        release_id=release_id,
        rollback_to=_rollback_of(release_id, facts),
        new=new,
        reason=_reason(kind, release_id, new, facts, service),
    )


def rollback_target(facts: ReleasesFacts, wanted: str | None) -> str:
    """Return the release that `rollback` goes to.

    Without `wanted`: the previous one where the current one serves, else the current one, because what serves then is
    unproven.

    Raises:
        ConfigurationError: there is none, it is not on the host, or it serves already.
    """
    known = _known(facts)
    if wanted is None:
        others = [release for release in known if release != facts.serving]
        target = facts.previous if facts.serving == facts.current else facts.current
        if target in known:
            return target
        raise ConfigurationError(
            "there is no proven release to go back to" if not target else f"release {target} is gone from the host",
            fix=f"name one with --release: {', '.join(others)}" if others else "deploy another plan first",
        )
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        there = ", ".join(known) or "none"
        raise ConfigurationError(f"there is no release {wanted}{hint}", fix=f"releases on the host: {there}")
    if wanted == facts.serving:
        raise ConfigurationError(f"release {wanted} serves already", fix="name another one with --release")
    return wanted


def _known(facts: ReleasesFacts) -> list[str]:
    """Releases whose files are whole: one that was interrupted while it was written has no digest."""
    return [release.id for release in facts.releases if release.digest]


def _existing(digest: str, facts: ReleasesFacts) -> str:
    same = {release.id for release in facts.releases if release.digest == digest}
    return next((linked for linked in (facts.serving, facts.current) if linked in same), "")


def _rollback_of(release_id: str, facts: ReleasesFacts) -> str:
    known = _known(facts)
    proven = (facts.current, facts.previous)
    return next((linked for linked in proven if linked in known and linked != release_id), "")


def _reason(kind: str, release_id: str, new: bool, facts: ReleasesFacts, service: ServiceFacts) -> str:
    if kind == "keep":
        proven = "" if release_id == facts.current else ", not proven yet"
        return f"this plan serves already ({release_id}{proven})"
    if kind == "start":
        held = "" if new else " again"
        return f"nothing runs ({service.state}): {release_id} is started{held}"
    if new:
        return f"{facts.serving or 'what runs'} is replaced by {release_id}"
    return f"{facts.serving or 'what runs'} was never proven: {release_id} serves again"
