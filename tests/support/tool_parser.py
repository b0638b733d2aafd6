"""What SGLang's parser of tool calls makes of texts, by its own code: run by an engine's interpreter.

Standard input: a JSON object of texts by name. Standard output: of each, [words, [[name, arguments], ...]] of the whole
text, of its characters one by one, and, without repetition, of every way to cut it in two.
"""

import json
import sys
from collections.abc import Iterable
from typing import Any

from sglang.srt.entrypoints.openai.protocol import Function, Tool
from sglang.srt.function_call.function_call_parser import FunctionCallParser

NAMES = ("get_weather", "get_time")
PARAMETERS = {"type": "object", "properties": {"location": {"type": "string"}}}
TOOLS = [Tool(type="function", function=Function(name=name, parameters=PARAMETERS)) for name in NAMES]


def whole(text: str) -> list[Any]:
    words, calls = FunctionCallParser(TOOLS, "mistral").parse_non_stream(text)
    return [words, [[call.name, call.parameters] for call in calls]]


def streamed(pieces: Iterable[str]) -> list[Any]:
    parser, words, calls = FunctionCallParser(TOOLS, "mistral"), "", dict[int, list[str]]()
    for piece in pieces:
        more, found = parser.parse_stream_chunk(piece)
        words += more or ""
        for call in found:
            known = calls.setdefault(call.tool_index, ["", ""])
            known[0] += call.name or ""
            known[1] += call.parameters or ""
    return [words, [calls[index] for index in sorted(calls)]]


def ways(text: str) -> dict[str, Any]:
    cuts = [streamed([text[:place], text[place:]]) for place in range(1, len(text))]
    distinct = sorted({json.dumps(cut) for cut in cuts})
    return {"whole": whole(text), "characters": streamed(text), "in_two": [json.loads(cut) for cut in distinct]}


json.dump({name: ways(text) for name, text in json.load(sys.stdin).items()}, sys.stdout)
