"""Requirements of an engine with the hub's real client beside it, as SGLang brings it, each pinned as in dev.lock."""

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tests.support.engine.wheel import requirements
from tests.support.tree import ROOT

LOCK = ROOT / "requirements" / "dev.lock"
_BLOCK = re.compile(r"^([A-Za-z0-9][\w.-]*)==.*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)


def needed(name: str) -> set[NormalizedName]:
    """Names of a package and of all that it needs here, in the lock's spelling."""
    found, waiting = set[NormalizedName](), [name]
    while waiting:
        this = canonicalize_name(waiting.pop())
        if this not in found:
            found.add(this)
            wanted = map(Requirement, requires(this) or ())
            waiting += [each.name for each in wanted if not each.marker or each.marker.evaluate({"extra": ""})]
    return found


def with_hub_client(folder: Path) -> Path:
    """Write locked requirements of the replay engine and huggingface_hub; all wheels lie in `folder`.

    The client's come from the package index now: SGLang's real version there must not be taken for the replay's.
    """
    blocks = {canonicalize_name(found[1]): found[0] for found in _BLOCK.finditer(LOCK.read_text())}
    client = "".join(blocks[name] for name in sorted(needed("huggingface_hub")))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "client.lock").write_text(client)
    words = ["download", "--quiet", "--no-deps", "--require-hashes", "--dest", str(folder)]
    argv = [sys.executable, "-m", "pip", *words, "--requirement", str(folder / "client.lock")]
    subprocess.run(argv, check=True)
    file = folder / "with-hub-client.lock"
    file.write_text(requirements(folder).read_text() + client)
    return file
