"""SGLang's own parser of tool calls, pinned: what it makes of a text, however the stream is cut.

A newer SGLang that does better fails here: then the record, and what `verify --tools` knows of it, are made anew.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.real_engine import CPU_ENVIRONMENT
from tests.support.tree import ROOT

pytestmark = pytest.mark.real_engine

SUPPORT = ROOT / "tests" / "support"
RECORDED: list[dict[str, Any]] = yaml.safe_load((SUPPORT / "tool_streams.yml").read_text())
LIMIT_S = 300


@pytest.fixture(scope="module")
def parsed(real_environment: Path) -> dict[str, dict[str, Any]]:
    """What the parser makes of every text, by name."""
    ended = subprocess.run(
        [str(real_environment / "bin" / "python"), str(SUPPORT / "tool_parser.py")],
        input=json.dumps({case["name"]: case["text"] for case in RECORDED}),
        env={**os.environ, **CPU_ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, dict[str, Any]] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("case", RECORDED, ids=[case["name"] for case in RECORDED])
def test_what_the_parser_makes_of_it(case: dict[str, Any], parsed: dict[str, dict[str, Any]]) -> None:
    whole = case["whole"]
    wanted = {"whole": whole, "characters": case.get("characters", whole), "in_two": case.get("in_two", [whole])}
    assert parsed[case["name"]] == wanted
    assert ("upstream" in case) == (wanted["characters"] != whole or wanted["in_two"] != [whole])
