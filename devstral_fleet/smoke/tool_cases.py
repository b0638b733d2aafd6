"""The cases of tool_cases.yml: what is asked, and what an answer must be."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from devstral_fleet.model import Value

FILE = Path(__file__).with_name("tool_cases.yml")
QUESTION: tuple[Mapping[str, Any], ...] = ({"role": "user", "content": "Do what your tool is for."},)


class Tool(Value):
    """A function that is offered; strict ones hold a grammar to their schema."""

    name: str = ""
    """'' for the key that it stands under."""
    description: str = ""
    strict: bool = True
    parameters: dict[str, Any]


class Expected(Value):
    """What an answer must be: one of the three."""

    calls: tuple[int, int] | None = None
    """At least and at most so many."""
    text: bool = False
    refused: tuple[int, ...] = ()
    """HTTP statuses, each of which will do."""


class Call(Value):
    """A call that a trained model makes."""

    name: str
    arguments: dict[str, Any]
    """Values that are equal, or texts that are in the call's text."""


class ToolCase(Value):
    """One question with its tools."""

    name: str
    weights: Literal["any", "trained"] = "any"
    """Whether the answer is the model's own choice."""
    tools: tuple[str, ...] = ()
    raw_tools: tuple[dict[str, Any], ...] = ()
    """Tools as they are sent, in place of named ones."""
    tool_choice: str = "required"
    """'auto', 'none', 'required', or a tool's name; 'none' is not sent without tools."""
    raw_tool_choice: str = ""
    messages: tuple[Mapping[str, Any], ...] = QUESTION
    expect: Expected
    trained: tuple[Call, ...] = ()
    says: str = ""
    """What a trained model's words have in them."""
    steered: str = ""
    """Text of one token that random weights are made to write, so that their words must have it."""
    known: str = ""
    """A fault of SGLang's that is known, for which a failure is a warning."""


class ToolCases(Value):
    """tool_cases.yml."""

    tools: dict[str, Tool]
    turns: dict[str, Mapping[str, Any]] = Field(default_factory=dict)
    """Messages that several cases have."""
    cases: tuple[ToolCase, ...]

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = [f"{case.name}: {name}" for case in self.cases for name in case.tools if name not in self.tools]
        if unknown:
            raise ValueError(f"tools that there are not: {', '.join(unknown)}")
        return self

    def definition(self, key: str) -> dict[str, Any]:
        """Return a tool as the API has it."""
        tool = self.tools[key]
        body = {"name": tool.name or key, **tool.model_dump(exclude={"name", "strict"}), "strict": tool.strict}
        return {"type": "function", "function": body}

    def offered(self, case: ToolCase) -> list[dict[str, Any]]:
        """Return the tools of a case as the API has them."""
        return [*case.raw_tools, *map(self.definition, case.tools)]


@cache
def load() -> ToolCases:
    """Read the cases; they come with the package."""
    return ToolCases.model_validate_json(json.dumps(yaml.safe_load(FILE.read_text())))
