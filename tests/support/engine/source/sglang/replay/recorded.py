"""The recorded files, and what was recorded in them."""

import json
from functools import cache
from importlib import resources
from typing import Any

RECORDED_MODEL = "devstral-tiny"
Exchange = dict[str, Any]


@cache
def recorded(name: str) -> dict[str, Any]:
    """One file of recorded/: 'flags', 'answers' or 'log'."""
    text = resources.files("sglang").joinpath("recorded", f"{name}.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def exchanges() -> list[Exchange]:
    found: list[Exchange] = recorded("answers")["exchanges"]
    return found


def page(path: str, status: int = 200) -> Exchange:
    """The recorded answer of a page that is asked without a body."""
    return next(
        exchange["response"]
        for exchange in exchanges()
        if exchange["request"]["path"] == path and exchange["response"]["status"] == status
    )


def fill(text: str, values: dict[str, str]) -> str:
    """Put this engine's own values where the record has names in braces."""
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text
