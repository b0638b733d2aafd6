"""Tool calling conformance: each case of tool_cases.yml, whole and streamed, judged by the tools' own schemas."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jsonschema import Draft202012Validator
from openai import APIStatusError

from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.smoke import tool_cases
from devstral_fleet.smoke.session import CheckFailed, Seen, Session
from devstral_fleet.smoke.steering import DEEP_BIAS, has_random_weights
from devstral_fleet.smoke.tool_cases import ToolCase
from devstral_fleet.smoke.tools import LEAKED_MARKER, Call, calls_of

PREFIX = "tools-"
CALL_TOKENS = 512
TEXT_TOKENS = 32
STEERED = 90
"""Logit bias of what random weights are made to write."""
CHOICES = ("auto", "none", "required")
ENDS = {"calls": ("tool_calls",), "text": ("stop", "length")}
FIX = "plan the engine with --tool-call-parser mistral; where it has it, report this case to SGLang"
KNOWN = "docs/operations.md, Tool calls, says how to live with it"
CLIP = 200


@dataclass
class Answer:
    """What came, put together where it came in pieces."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)
    finish: str = ""
    faults: list[str] = field(default_factory=list)
    """What was wrong with the pieces themselves."""

    def __str__(self) -> str:
        calls = "; ".join(f"{call.name}({call.arguments})" for call in self.calls) or "no call"
        shown = f"{calls}, content {self.text!r}, finish_reason {self.finish}"
        return shown if len(shown) <= CLIP else shown[:CLIP] + "…"


def checks(plan: DeploymentPlan) -> Mapping[str, Callable[[Session], Seen]]:
    """Return the cases that the plan's weights can pass, each as a check."""
    random = has_random_weights(plan)
    asked = (case for case in tool_cases.load().cases if not (random and case.weights == "trained"))
    return {f"{PREFIX}{case.name}": partial(check, case) for case in asked}


def check(case: ToolCase, session: Session) -> Seen:
    """Ask one case, whole and streamed.

    Raises:
        CheckFailed: an answer breaks the API's rules or a tool's schema. One that is only not the expected choice of a
            trained model is a warning.
    """
    body = _body(case, session)
    if case.expect.refused:
        refused = _refusal(case, session, body)
        if refused or not case.expect.text:
            return _was_refused(refused)
    answers = {"whole": _whole(session, body), "streamed": _streamed(session, body)}
    evidence = tuple(f"{way}: {answer}" for way, answer in answers.items())
    problems = [f"{way}: {problem}" for way, answer in answers.items() for problem in _problems(case, answer)]
    if problems and case.known:
        return Seen(f"{'; '.join(problems)}: {case.known}", evidence, "warn", KNOWN)
    if problems:
        raise CheckFailed("; ".join(problems), evidence, FIX)
    if not session.random_weights and (other := [way for way, answer in answers.items() if not _chosen(case, answer)]):
        return Seen(f"{' and '.join(other)}: not what was expected of the model", evidence, "warn", "read the answers")
    return Seen(str(answers["streamed"]), evidence)


def _body(case: ToolCase, session: Session) -> dict[str, Any]:
    offered = tool_cases.load().offered(case)
    body: dict[str, Any] = {"messages": list(case.messages)}
    body["max_tokens"] = TEXT_TOKENS if case.expect.text and session.random_weights else CALL_TOKENS
    if offered:
        body["tools"] = offered
    if offered or case.tool_choice != "none":
        body["tool_choice"] = case.raw_tool_choice or _choice(case)
    wanted = DEEP_BIAS if case.expect.calls else {case.steered: STEERED} if case.steered else {}
    bias = session.bias_of(wanted) if wanted else {}
    extras = {} if case.expect.calls else session.answer_extras()
    return body | {"extra_body": extras | ({"logit_bias": bias} if bias else {})}


def _choice(case: ToolCase) -> object:
    if case.tool_choice in CHOICES:
        return case.tool_choice
    known = tool_cases.load().tools
    name = known[case.tool_choice].name or case.tool_choice
    return {"type": "function", "function": {"name": name}}


def _refusal(case: ToolCase, session: Session, body: dict[str, Any]) -> int:
    """HTTP status of a refusal that will do, 0 for an answer."""
    try:
        _whole(session, body)
    except APIStatusError as error:
        if error.status_code in case.expect.refused:
            return error.status_code
        raise
    return 0


def _was_refused(status: int) -> Seen:
    if not status:
        raise CheckFailed("it was accepted", (), "a client that is wrong is not told so: report this case to SGLang")
    return Seen(f"refused with {status}", (f"HTTP {status}",))


def _whole(session: Session, body: dict[str, Any]) -> Answer:
    completion = session.chat(body)
    if not completion.choices:
        return Answer(faults=["the answer has no choice"])
    choice = completion.choices[0]
    return Answer(choice.message.content or "", calls_of(choice.message), choice.finish_reason or "")


def _streamed(session: Session, body: dict[str, Any]) -> Answer:
    answer, calls = Answer(), dict[int, Call]()
    for chunk in session.chat_chunks(body):
        for choice in chunk.choices or ():
            for piece in choice.delta.tool_calls or ():
                first = piece.index not in calls
                call = calls.setdefault(piece.index, Call())
                name = (piece.function.name if piece.function else "") or ""
                if first and piece.index != len(calls) - 1:
                    answer.faults.append(f"call {piece.index} came before call {len(calls) - 1}")
                if name and call.name:
                    answer.faults.append(f"call {piece.index} is named again: {name}")
                call.id, call.name = call.id or piece.id or "", call.name or name
                call.arguments += (piece.function.arguments if piece.function else "") or ""
                if not call.name:
                    answer.faults.append(f"call {piece.index} begins without its name")
            if choice.finish_reason and answer.finish:
                answer.faults.append("it ended twice")
            answer.text += choice.delta.content or ""
            answer.finish = choice.finish_reason or answer.finish
    answer.calls = [calls[index] for index in sorted(calls)]
    return answer


def _problems(case: ToolCase, answer: Answer) -> Iterator[str]:
    yield from answer.faults
    if LEAKED_MARKER in answer.text:
        yield f"{LEAKED_MARKER} is in the content"
    kind = "calls" if case.expect.calls else "text"
    if answer.finish not in ENDS[kind]:
        yield f"finish_reason is {answer.finish or 'missing'}, not {' or '.join(ENDS[kind])}"
    if not case.expect.calls:
        if answer.calls:
            yield f"{len(answer.calls)} calls came, and none was to come"
        elif not answer.text.strip():
            yield "no word came"
        elif case.steered and case.steered not in answer.text:
            yield f"{case.steered!r} is not in the words"
        return
    least, most = case.expect.calls
    if not least <= len(answer.calls) <= most:
        yield f"{len(answer.calls)} calls came"
    ids = [call.id for call in answer.calls]
    if not all(ids) or len(set(ids)) != len(ids):
        yield f"calls need an id of their own each: {ids}"
    schemas = {tool["function"]["name"]: tool["function"] for tool in tool_cases.load().offered(case)}
    choice = _choice(case)
    named = choice["function"]["name"] if isinstance(choice, dict) else ""
    for call in answer.calls:
        if named and call.name != named:
            yield f"{call.name} was called, {named} was asked for"
        yield from _call_problems(call, schemas)


def _call_problems(call: Call, offered: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if call.name not in offered:
        yield f"{call.name!r} was not offered"
        return
    try:
        arguments = json.loads(call.arguments)
    except ValueError as error:
        yield f"the arguments of {call.name} are no JSON ({error})"
        return
    for fault in Draft202012Validator(offered[call.name]["parameters"]).iter_errors(arguments):
        yield f"the arguments of {call.name} do not fit: {fault.message}"


def _chosen(case: ToolCase, answer: Answer) -> bool:
    """Tell whether a trained model chose as it was expected to."""
    if case.says:
        return case.says in answer.text
    if not case.trained:
        return True
    if [call.name for call in case.trained] != [call.name for call in answer.calls]:
        return False
    pairs = zip(case.trained, answer.calls, strict=True)
    return all(_fits(wanted.arguments, json.loads(came.arguments)) for wanted, came in pairs)


def _fits(wanted: Mapping[str, Any], came: Mapping[str, Any]) -> bool:
    def one(value: object, other: object) -> bool:
        if isinstance(value, str) and isinstance(other, str):
            return value.casefold() in other.casefold()
        return value == other

    return all(one(value, came.get(name)) for name, value in wanted.items())
