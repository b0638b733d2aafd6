"""All smoke checks in their order, each ending as one finding."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx
from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError, DefaultHttpxClient, OpenAI

from devstral_fleet.findings import Finding
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.smoke import checks
from devstral_fleet.smoke.session import CheckFailed, OutOfTime, Seen, Session

Check = Callable[[Session], Seen]
CHECKS: dict[str, Check] = {
    "model-served": checks.model_served,
    "chat": checks.chat,
    "chat-streamed": checks.chat_streamed,
    "tool-call": checks.tool_call,
    "tool-call-streamed": checks.tool_call_streamed,
    "tool-result-turn": checks.tool_result_turn,
    "pictures": checks.pictures_answered,
    "wrong-request-refused": checks.wrong_request_refused,
}
CONNECT_TIMEOUT_S = 5.0
TIMEOUTS_IN_A_ROW = 2
"""After so many checks without an answer the rest is not tried: it would only wait as long again."""


@dataclass
class _Trouble(Exception):
    """What kept a check from an answer. `kind` decides whether the others are tried."""

    kind: str
    """'wrong': it answered wrongly; 'late': no answer in time; 'dead': no connection."""
    summary: str
    evidence: tuple[str, ...] = ()
    fix: str = ""


def checks_of(plan: DeploymentPlan) -> dict[str, Check]:
    """Return the checks that a plan's model must pass: those about pictures where it sees them."""
    return {name: check for name, check in CHECKS.items() if plan.vision or check is not checks.pictures_answered}


def run(
    *,
    base_url: str,
    api_key: str,
    plan: DeploymentPlan,
    timeout_s: float,
    asked: Mapping[str, Check] | None = None,
    on_check: Callable[[Finding], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Finding, ...]:
    """Ask every check of `asked`, else of `checks_of`, of `base_url` (no path); return a finding for each, in order.

    A wrong or slow answer ends one check, not the others. A refused connection, or two checks in a row without an
    answer in `timeout_s` seconds (the bound of each request), ends the rest as findings that were not tried.
    Nothing is raised for what the endpoint does; `api_key` is in no finding.
    """
    timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
    # trust_env=False: a proxy of the environment is never between this machine and a forwarded loopback port.
    with DefaultHttpxClient(trust_env=False, timeout=timeout) as http_client:
        url = f"{base_url.rstrip('/')}/v1"
        client = OpenAI(base_url=url, api_key=api_key, http_client=http_client, timeout=timeout, max_retries=0)
        session = Session(client=client, plan=plan, timeout_s=timeout_s, clock=clock)
        return tuple(_findings(session, api_key, asked or checks_of(plan), on_check or _nobody))


def _nobody(_: Finding) -> None:
    pass


def _findings(
    session: Session, api_key: str, asked: Mapping[str, Check], on_check: Callable[[Finding], None]
) -> list[Finding]:
    findings: list[Finding] = []
    late = 0
    give_up = ""
    for name, check in asked.items():
        trouble, finding = _untried(name, give_up, session) if give_up else _tried(name, check, session)
        late = late + 1 if trouble == "late" else 0
        if trouble == "dead":
            give_up = "nothing answers at the endpoint"
        elif late >= TIMEOUTS_IN_A_ROW:
            give_up = f"{late} checks in a row got no answer"
        findings.append(_without(api_key, finding))
        on_check(findings[-1])
    return findings


def _untried(name: str, reason: str, session: Session) -> tuple[str, Finding]:
    summary = f"not tried: {reason}"
    return "", Finding(check=name, state="fail", summary=summary, fix=_logs(session.plan))


def _tried(name: str, check: Check, session: Session) -> tuple[str, Finding]:
    start = session.clock()
    try:
        seen = _asked(check, session)
    except _Trouble as trouble:
        kind, state, summary = trouble.kind, "fail", trouble.summary
        evidence, fix = trouble.evidence, trouble.fix or _logs(session.plan)
    else:
        kind, state, summary, evidence, fix = "", seen.state, seen.summary, seen.evidence, seen.fix
    duration_ms = round((session.clock() - start) * 1000, 1)
    values = {"check": name, "state": state, "summary": summary, "evidence": evidence, "fix": fix}
    return kind, Finding.model_validate(values | {"duration_ms": duration_ms})


def _asked(check: Check, session: Session) -> Seen:
    """Run one check; whatever stands between it and an answer becomes a _Trouble."""
    try:
        return check(session)
    except CheckFailed as failure:
        raise _Trouble("wrong", failure.summary, failure.evidence, failure.fix) from failure
    except (APITimeoutError, httpx.TimeoutException, OutOfTime) as error:
        raise _Trouble("late", f"no whole answer in {session.timeout_s:g} s") from error
    except (APIConnectionError, httpx.TransportError) as error:
        cause = error.__cause__ or error
        kind = "dead" if isinstance(cause, httpx.ConnectError) else "wrong"
        evidence = (f"{type(cause).__name__}: {cause}",)
        summary = (
            "nothing answers at the endpoint" if kind == "dead" else "the connection broke before the answer's end"
        )
        raise _Trouble(kind, summary, evidence) from error
    except APIStatusError as error:
        came = f"came: HTTP {error.status_code}: {error.response.text[: checks.CLIP_CHARACTERS]}"
        raise _Trouble("wrong", f"the endpoint answered HTTP {error.status_code}", (came,)) from error
    except (APIError, ValueError) as error:
        raise _Trouble("wrong", "the answer cannot be read", (f"{type(error).__name__}: {error}",)) from error


def _logs(plan: DeploymentPlan) -> str:
    return f".venv/bin/invoke logs --host {plan.host}"


def _without(secret: str, finding: Finding) -> Finding:
    """An engine's error text may quote the request; the key must not come along."""
    if not secret:
        return finding
    clean = tuple(line.replace(secret, "***") for line in finding.evidence)
    return finding.model_copy(update={"evidence": clean, "summary": finding.summary.replace(secret, "***")})
