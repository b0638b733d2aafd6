"""The tool that the smoke checks offer, and what a call of it must look like.

Source: the cookbook's `get_weather` example, made strict as the OpenAI API asks: every property required, none added.
"""

import json
from dataclasses import dataclass
from typing import Any

from openai.types.chat import ChatCompletionMessage

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "location": {"type": "string", "description": "The city name"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Temperature unit"},
    },
    "required": ["location", "unit"],
    "additionalProperties": False,
}
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a location",
        "strict": True,
        "parameters": PARAMETERS,
    },
}
QUESTION: dict[str, Any] = {"role": "user", "content": "What's the weather in Beijing?"}
CALL_ID = "smoke0001"
"""Nine letters and digits: Mistral's templates refuse other call ids."""
RESULT = {"location": "Beijing", "unit": "celsius", "temperature": 22}
RESULT_FACT = "22"
"""What an answer that has read RESULT says."""
RESULT_TURN: tuple[dict[str, Any], ...] = (
    QUESTION,
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": CALL_ID,
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"location": "Beijing", "unit": "celsius"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": CALL_ID, "content": json.dumps(RESULT)},
)
LEAKED_MARKER = "[TOOL_CALLS]"
"""Mistral's control token; it is in no answer when the engine parses tool calls."""


@dataclass
class Call:
    """One tool call as it was answered, or as it was put together from a stream."""

    id: str = ""
    name: str = ""
    arguments: str = ""


def calls_of(message: ChatCompletionMessage) -> list[Call]:
    """Return the calls of a whole answer."""
    return [
        Call(id=call.id or "", name=call.function.name or "", arguments=call.function.arguments or "")
        for call in message.tool_calls or ()
        if call.type == "function"
    ]


def call_problems(call: Call) -> list[str]:
    """Say what is wrong with one call of `get_weather`; an empty list when it is right."""
    problems = [] if call.id else ["the call has no id"]
    if call.name != WEATHER["function"]["name"]:
        problems.append(f"the call names {call.name!r}, which was not offered")
    return problems + arguments_problems(call.arguments)


def arguments_problems(text: str) -> list[str]:
    """Compare a call's arguments, a JSON text, with PARAMETERS."""
    try:
        arguments = json.loads(text)
    except ValueError as error:
        return [f"the arguments are no JSON ({error})"]
    if not isinstance(arguments, dict):
        return ["the arguments are no JSON object"]
    known, required = PARAMETERS["properties"], PARAMETERS["required"]
    problems = [f"the argument {name!r} is missing" for name in required if name not in arguments]
    problems += [f"the argument {name!r} is not in the schema" for name in arguments if name not in known]
    values = [(name, value) for name, value in arguments.items() if name in known]
    return problems + [problem for name, value in values for problem in _value_problems(name, value, known[name])]


def _value_problems(name: str, value: object, schema: dict[str, Any]) -> list[str]:
    if not isinstance(value, str):
        return [f"the argument {name!r} is {value!r}, not a string"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"the argument {name!r} is {value!r}, not one of {', '.join(schema['enum'])}"]
    return []
