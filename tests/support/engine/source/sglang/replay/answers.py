"""Which recorded answer fits a request, and how it becomes this engine's own. What was not recorded is refused."""

import json
import re
import time
import uuid
from typing import Any

from sglang.replay.recorded import RECORDED_MODEL, Exchange, exchanges

Body = dict[str, Any]
CHAT_KEYS = {
    *("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stream", "stream_options"),
    *("tools", "tool_choice", "parallel_tool_calls", "logit_bias", "ignore_eos", "seed", "stop", "user"),
}
MADE_UP_IDS = re.compile(r'"id":"(?:call_)?[0-9a-f]{24,32}"')
CREATED = re.compile(r'"created":\d+')
LEAK = '[TOOL_CALLS]get_weather[ARGS]{"location": "Beijing", "unit": "celsius"}'


class NotRecordedError(Exception):
    """The real engine was never asked this."""


def chat_answer(body: Body) -> tuple[int, str, str]:
    """Answer a chat request: status, media type, body."""
    unknown = set(body) - CHAT_KEYS
    if unknown:
        raise NotRecordedError(f"chat with {', '.join(sorted(unknown))}")
    found = [
        exchange for exchange in exchanges() if is_chat(exchange) and shape(exchange["request"]["body"]) == shape(body)
    ]
    if not found:
        raise NotRecordedError(f"chat of the shape {shape(body)}")
    response = found[0]["response"]
    return response["status"], response["media_type"], own(response["body"], str(body.get("model", "default")))


def is_chat(exchange: Exchange) -> bool:
    found: bool = exchange["request"]["path"] == "/v1/chat/completions"
    return found


def shape(body: Body) -> dict[str, Any]:
    """What decides the kind of answer; the words of a question do not."""
    messages, limit = body.get("messages"), body.get("max_tokens") or body.get("max_completion_tokens") or 0
    last = messages[-1].get("role") if isinstance(messages, list) and messages else type(messages).__name__
    choice = body.get("tool_choice", "auto" if body.get("tools") else "none")
    return {
        "last message": last,
        "tool_choice": choice,
        "tools": json.dumps(body.get("tools") or [], sort_keys=True) if choice != "none" else "",
        "stream": bool(body.get("stream")),
        "pictures": pictures(messages),
        "negative max_tokens": limit < 0,
    }


def pictures(messages: Any) -> int:
    """Count the pictures of a conversation."""
    contents = (message.get("content") for message in messages or () if isinstance(message, dict))
    return sum(part.get("type") == "image_url" for each in contents if isinstance(each, list) for part in each)


def own(text: str, model: str) -> str:
    """Give a recorded answer this request's model, new ids (one for all of a stream) and the present time."""
    ids: dict[str, str] = {}

    def new_id(match: re.Match[str]) -> str:
        prefix = '"id":"call_' if match[0].startswith('"id":"call_') else '"id":"'
        length = len(match[0]) - len(prefix) - 1
        return ids.setdefault(match[0], f'{prefix}{uuid.uuid4().hex[:length]}"')

    text = MADE_UP_IDS.sub(new_id, text)
    text = CREATED.sub(f'"created":{int(time.time())}', text)
    return text.replace(f'"model":"{RECORDED_MODEL}"', f'"model":{json.dumps(model)}')


def is_wrong(body: Body) -> bool:
    """Tell whether the real engine refuses this request."""
    found = shape(body)
    return bool(found["negative max_tokens"]) or found["last message"] == "str"


def without_tools(body: Body) -> Body:
    """The same request as if no tool had been offered: how an engine without a tool parser sees it."""
    plain = {key: value for key, value in body.items() if key not in ("tools", "tool_choice")}
    return plain | {"messages": [{"role": "user", "content": ""}]}


def leaked(text: str) -> str:
    """A recorded answer in words, with the model's raw tool call in place of its first words."""
    return re.sub(r'"content":"(?:[^"\\]|\\.)+"', lambda _: f'"content":{json.dumps(LEAK)}', text, count=1)


def cut_call(text: str) -> str:
    """A recorded tool call whose arguments break off."""
    return text.replace('\\"unit\\"', "")


def one_piece(text: str) -> str:
    """A recorded stream as a buffering proxy makes it: all words in the first piece."""
    events = text.split("\n\n")
    words = [event for event in events if re.search(r'"content":"(?:[^"\\]|\\.)+"', event)]
    return "\n\n".join(event for event in events if event not in words[1:])


def empty(text: str) -> str:
    return re.sub(r'"content":"(?:[^"\\]|\\.)+"', '"content":""', text)


def tokenize_answer(body: Body) -> str:
    """Answer /v1/tokenize from the recorded texts."""
    asked = body.get("prompt")
    texts = [asked] if isinstance(asked, str) else asked
    ids = recorded_token_ids()
    if not isinstance(texts, list) or any(text not in ids for text in texts):
        raise NotRecordedError(f"the tokens of {asked!r}")
    tokens = [ids[text] for text in texts]
    counts = [len(each) for each in tokens]
    answer = {"tokens": tokens, "count": counts} if texts is asked else {"tokens": tokens[0], "count": counts[0]}
    return json.dumps(answer | {"max_model_len": 32768})


def recorded_token_ids() -> dict[str, list[int]]:
    exchange = next(each for each in exchanges() if each["request"]["path"] == "/v1/tokenize")
    return dict(zip(exchange["request"]["body"]["prompt"], json.loads(exchange["response"]["body"])["tokens"]))
