"""The real command lines: every flag that SGLang of the recorded version has, and no other."""

import argparse
import json
from pathlib import Path
from typing import Any

from sglang.replay.recorded import recorded

CONVERTERS = {"int": int, "float": float}


def parser(program: str, prog: str) -> argparse.ArgumentParser:
    """Make the parser of 'server' or 'bench'. Flags that are not given do not appear in its result."""
    made = argparse.ArgumentParser(prog=prog, argument_default=argparse.SUPPRESS)
    for flag in recorded("flags")[program]:
        made.add_argument(*flag["flags"], **_options(flag))
    return made


def defaults(program: str) -> dict[str, Any]:
    """What the real program assumes for the flags that are not given."""
    return {flag["dest"]: flag.get("default") for flag in recorded("flags")[program]}


def _options(flag: dict[str, Any]) -> dict[str, Any]:
    if "const" in flag:
        return {"dest": flag["dest"], "action": "store_const", "const": flag["const"]}
    options: dict[str, Any] = {"dest": flag["dest"]}
    if "nargs" in flag:
        options["nargs"] = flag["nargs"]
    if "type" in flag:
        options["type"] = CONVERTERS[flag["type"]]
    if "choices" in flag:
        options["choices"] = flag["choices"]
    return options


def merged(argv: list[str]) -> list[str]:
    """Put the words of `--config FILE` before the others, as the real server does."""
    if "--config" not in argv:
        return argv
    index = argv.index("--config")
    return [*_config_words(Path(argv[index + 1])), *argv[:index], *argv[index + 2 :]]


def _config_words(path: Path) -> list[str]:
    """Read `key: value` lines; the replay engine knows no more of YAML, and refuses the rest."""
    if path.suffix not in (".yaml", ".yml"):
        raise ValueError(f"Config file must be YAML format, got: {path.suffix}")
    words: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, colon, value = line.partition(":")
        if not colon or not value.strip() or key != key.strip():
            raise ValueError(f"the replay engine reads only 'key: value' lines in {path}")
        value = value.strip()
        words += [f"--{key}", json.loads(value) if value.startswith('"') else value.strip("'")]
    return words
