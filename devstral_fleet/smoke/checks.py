"""The smoke checks: each asks the endpoint one thing and says what it saw, or raises CheckFailed."""

from collections.abc import Callable, Iterable
from typing import Any

from openai import APIStatusError, BadRequestError, InternalServerError, Omit
from openai.types.chat import ChatCompletion
from openai.types.chat.chat_completion import Choice
from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall

from devstral_fleet.smoke import pictures
from devstral_fleet.smoke.session import CheckFailed, Seen, Session
from devstral_fleet.smoke.tools import (
    LEAKED_MARKER,
    QUESTION,
    RESULT_FACT,
    RESULT_TURN,
    WEATHER,
    Call,
    call_problems,
    calls_of,
)

PROMPT: dict[str, Any] = {"role": "user", "content": "Write a Python function that adds two integers."}
PICTURES = "Name the colour of each picture."
ANSWER_TOKENS = 48
CALL_TOKENS = 256
TOOL_REQUEST: dict[str, Any] = {
    "messages": [QUESTION],
    "tools": [WEATHER],
    "tool_choice": "required",
    "max_tokens": CALL_TOKENS,
}
PARSER_FIX = "plan the engine with --tool-call-parser mistral and deploy again"
CLIP_CHARACTERS = 160


def model_served(session: Session) -> Seen:
    """The list of served models holds the planned name with the planned context length.

    The list is compared because SGLang answers requests that name any model.
    """
    served = {model.id: getattr(model, "max_model_len", None) for model in session.client.models.list().data or ()}
    name, context = session.plan.served_model_name, session.plan.context_length
    came = ", ".join(f"{model} (max_model_len {length})" for model, length in served.items()) or "no model"
    evidence = ("asked: GET /v1/models", f"came: {came}", f"planned: {name} (max_model_len {context})")
    fix = f".venv/bin/invoke deploy --host {session.plan.host}"
    if name not in served:
        raise CheckFailed(f"the endpoint serves {came}, not {name}", evidence, fix)
    if served[name] != context:
        raise CheckFailed(f"{name} is served with context length {served[name]}, not {context}", evidence, fix)
    return Seen(f"{name} is served with context length {context}", evidence)


def chat(session: Session) -> Seen:
    """A plain question gets a text."""
    choice = _choice(session.chat(_question(session)))
    return _text_seen("POST /v1/chat/completions", choice.message.content, choice.finish_reason)


def chat_streamed(session: Session) -> Seen:
    """The same question streamed gets its text in pieces."""
    pieces: list[str] = []
    finish: str | None = None
    for chunk in session.chat_chunks(_question(session)):
        for choice in chunk.choices or ():
            pieces += [choice.delta.content] if choice.delta.content else []
            finish = choice.finish_reason or finish
    seen = _text_seen("POST /v1/chat/completions, stream", "".join(pieces), finish)
    if len(pieces) < 2:
        raise CheckFailed("the stream came in one piece", seen.evidence, "put no buffering proxy before the engine")
    return Seen(f"answered in {len(pieces)} pieces, {seen.summary}", seen.evidence)


def tool_call(session: Session) -> Seen:
    """A question that needs the tool gets one call that fits the schema."""
    choice = _choice(session.chat(TOOL_REQUEST | {"extra_body": session.call_extras()}))
    calls = calls_of(choice.message)
    return _call_seen("get_weather, required, strict", calls, choice.message.content, choice.finish_reason)


def tool_call_streamed(session: Session) -> Seen:
    """The same call streamed, put together by index, is whole."""
    calls: dict[int, Call] = {}
    text, finish = "", None
    for chunk in session.chat_chunks(TOOL_REQUEST | {"extra_body": session.call_extras()}):
        for choice in chunk.choices or ():
            _add_pieces(calls, choice.delta.tool_calls or ())
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    whole = [calls[index] for index in sorted(calls)]
    return _call_seen("get_weather, required, strict, stream", whole, text, finish)


def tool_result_turn(session: Session) -> Seen:
    """A conversation with a call and its result gets an answer in words, from trained weights one that read it."""
    turn = {"messages": list(RESULT_TURN), "tools": [WEATHER], "tool_choice": "none"}
    choice = _choice(session.chat(_question(session) | turn))
    seen = _text_seen("user, assistant's tool call, tool result", choice.message.content, choice.finish_reason)
    if session.random_weights or RESULT_FACT in (choice.message.content or ""):
        return seen
    fix = "ask again by hand; a wrong chat template makes a model blind for tool results"
    return Seen(f"the answer does not mention the result's {RESULT_FACT}", seen.evidence, "warn", fix)


def pictures_answered(session: Session) -> Seen:
    """A message with two pictures gets an answer, from trained weights one that names their colours.

    What is wrong is a warning: the model still serves text, which is what most coding agents send.
    """
    said = f"asked: POST /v1/chat/completions, {len(pictures.COLOURS)} pictures in one message"
    try:
        choice = _choice(session.chat(_question(session) | {"messages": [pictures.question(PICTURES)]}))
    except (BadRequestError, InternalServerError) as error:
        came = f"came: HTTP {error.status_code}: {_clip(error.response.text)}"
        fix = f"send it no pictures; .venv/bin/invoke logs --host {session.plan.host} says why"
        return Seen(f"pictures are answered with HTTP {error.status_code}", (said, came), "warn", fix)
    seen = _text_seen(said.removeprefix("asked: "), choice.message.content, choice.finish_reason)
    missing = [colour for colour in pictures.COLOURS if colour not in (choice.message.content or "").lower()]
    if session.random_weights or not missing:
        return seen
    fix = "ask about each picture by hand; an engine that computes them wrongly still answers"
    return Seen(f"the answer does not say {' or '.join(missing)}", seen.evidence, "warn", fix)


def wrong_request_refused(session: Session) -> Seen:
    """Requests that break the API's rules, or carry no right key, are refused with a 4xx."""
    body: dict[str, Any] = {"messages": [PROMPT], "max_tokens": 8}
    stranger = session.client.with_options(api_key="not-the-key")
    refusals = (
        _refusal("max_tokens -1", (400, 422), lambda: session.chat(body | {"max_tokens": -1})),
        _refusal("messages as a text", (400, 422), lambda: session.chat(body | {"extra_body": {"messages": "hello"}})),
        _refusal("a wrong key", (401,), stranger.models.list),
        _refusal("no key", (401,), lambda: session.client.models.list(extra_headers={"Authorization": Omit()})),
    )
    evidence = tuple(line for line, _ in refusals)
    wrong = [line for line, refused in refusals if not refused]
    if wrong:
        fix = f".venv/bin/invoke doctor --host {session.plan.host}"
        raise CheckFailed("; ".join(wrong), evidence, fix)
    return Seen(f"{len(refusals)} wrong requests were refused", evidence)


def _refusal(what: str, expected: tuple[int, ...], ask: Callable[[], object]) -> tuple[str, bool]:
    try:
        ask()
    except APIStatusError as error:
        return f"{what}: refused with {error.status_code}", error.status_code in expected
    return f"{what}: accepted", False


def _question(session: Session) -> dict[str, Any]:
    return {"messages": [PROMPT], "max_tokens": ANSWER_TOKENS, "extra_body": session.answer_extras()}


def _add_pieces(calls: dict[int, Call], pieces: Iterable[ChoiceDeltaToolCall]) -> None:
    for piece in pieces:
        call = calls.setdefault(piece.index, Call())
        call.id = call.id or piece.id or ""
        if piece.function:
            call.name = call.name or piece.function.name or ""
            call.arguments += piece.function.arguments or ""


def _choice(completion: ChatCompletion) -> Choice:
    if not completion.choices:
        raise CheckFailed("the answer has no choice", (f"came: {_clip(str(completion))}",))
    return completion.choices[0]


def _text_seen(asked: str, text: str | None, finish: str | None) -> Seen:
    evidence = (f"asked: {asked}", f"came: {_clip(text or '')!r}", f"finish_reason: {finish}")
    if not (text or "").strip():
        raise CheckFailed("the answer is empty", evidence)
    if finish not in ("stop", "length"):
        raise CheckFailed(f"the answer ended with finish_reason {finish!r}", evidence)
    return Seen(f"{len(text or '')} characters, finish_reason {finish}", evidence)


def _call_seen(asked: str, calls: list[Call], text: str | None, finish: str | None) -> Seen:
    came = "; ".join(f"{call.name}({_clip(call.arguments)})" for call in calls) or "no call"
    evidence = (f"asked: {asked}", f"came: {came}", f"content: {_clip(text or '')!r}", f"finish_reason: {finish}")
    if LEAKED_MARKER in (text or ""):
        raise CheckFailed("the tool call came as text: the engine does not parse it", evidence, PARSER_FIX)
    if len(calls) != 1:
        raise CheckFailed(f"{len(calls)} tool calls came, not one", evidence, PARSER_FIX)
    problems = call_problems(calls[0])
    if finish != "tool_calls":
        problems.append(f"finish_reason is {finish!r}, not 'tool_calls'")
    if problems:
        raise CheckFailed("; ".join(problems), evidence, PARSER_FIX)
    return Seen(f"called {came}", evidence)


def _clip(text: str) -> str:
    return text if len(text) <= CLIP_CHARACTERS else text[:CLIP_CHARACTERS] + "…"
