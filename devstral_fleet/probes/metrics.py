"""The engine's own counters while it works, asked on the host itself. Nothing depends on a look: one may fail."""

from devstral_fleet.bench.live import SERIES, EngineNumbers, numbers
from devstral_fleet.shell import Shell

TIMEOUT_S = 5.0
# /metrics is long and open without the key; of its lines a handful is sent on.
SCRIPT = r"""
import sys, urllib.request
base, timeout_s, *series = sys.argv[1:]
ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
with ask(base + "/metrics", timeout=float(timeout_s)) as answer:
    for line in answer.read().decode("utf-8", "replace").splitlines():
        if line.startswith(tuple(series)):
            print(line)
"""


def read(shell: Shell, base_url: str) -> EngineNumbers | None:
    """Ask /metrics; None where it did not answer.

    Raises:
        UnreachableError: the host cannot be reached.
    """
    words = ["python3", "-I", "-", base_url, f"{TIMEOUT_S:g}", *SERIES]
    result = shell.run(words, stdin=SCRIPT, timeout_s=2 * TIMEOUT_S)
    return numbers(result.stdout) if result.ok else None
