"""Run by record.py with the engine environment's own Python: print versions and command-line flags as JSON.

It imports SGLang and nothing of this project.
"""

import argparse
import importlib
import json
import math
import sys
from collections.abc import Callable
from importlib import metadata

Flag = dict[str, object]


def main() -> None:
    serving = importlib.import_module("sglang.benchmark.serving")
    server = argparse.ArgumentParser(prog="sglang serve")
    importlib.import_module("sglang.srt.server_args").ServerArgs.add_cli_args(server)
    record = {
        "versions": {name: metadata.version(name) for name in ("sglang", "transformers", "torch")},
        "python": ".".join(map(str, sys.version_info[:3])),
        "server": [flag_of(action) for action in server._actions if action.dest != "help"],
        "bench": [flag_of(action) for action in bench_parser(serving.cli_main)._actions if action.dest != "help"],
    }
    json.dump(record, sys.stdout)


def bench_parser(cli_main: Callable[[], None]) -> argparse.ArgumentParser:
    """bench_serving makes its parser inside its main function: stop it where it would parse."""
    made: list[argparse.ArgumentParser] = []

    def stop(parser: argparse.ArgumentParser, *_: object) -> None:
        made.append(parser)
        raise SystemExit

    argparse.ArgumentParser.parse_args = stop  # type: ignore[method-assign,assignment]
    try:
        cli_main()
    except SystemExit:
        return made[0]
    raise AssertionError("bench_serving did not parse its arguments")


def flag_of(action: argparse.Action) -> Flag:
    """One flag as data. `type` is 'int' or 'float'; other values stay text in the replay engine."""
    flag: Flag = {"flags": action.option_strings, "dest": action.dest}
    if isinstance(action.nargs, int) or action.nargs:
        flag["nargs"] = action.nargs
    if action.nargs == 0:
        flag["const"] = action.const if isinstance(action.const, bool | int | str) else True
    if action.type is int or action.type is float:
        flag["type"] = action.type.__name__
    if action.choices:
        flag["choices"] = sorted((choice for choice in action.choices if choice is not None), key=str)  # some are sets
    if isinstance(action.default, bool | int | str) or (
        isinstance(action.default, float) and math.isfinite(action.default)
    ):
        flag["default"] = action.default
    return flag


main()
