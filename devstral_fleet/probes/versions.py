"""Versions of what the engine runs on, from its own environment's metadata; nothing of it is imported."""

from collections.abc import Sequence

from devstral_fleet.facts import VersionsFacts
from devstral_fleet.probes import output
from devstral_fleet.shell import Shell

SCRIPT = r"""
import importlib.metadata, json
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
print(json.dumps({name: version(name) for name in ("sglang", "transformers", "torch")}))
"""


def command(python: Sequence[str]) -> list[str]:
    """Words of the probe; the script itself goes to standard input."""
    return [*python, "-I", "-"]


def read(shell: Shell, python: Sequence[str]) -> VersionsFacts:
    """Look into the environment of the interpreter that `python` starts.

    Raises:
        ProbeError: there is no such interpreter, or it failed.
    """
    return parse(output.run(shell, "versions", command(python), stdin=SCRIPT))


def parse(text: str) -> VersionsFacts:
    """Read the script's JSON."""
    try:
        return VersionsFacts.model_validate(output.document(text, "versions"))
    except ValueError as error:
        raise output.unreadable("versions", "other keys than expected", text) from error
