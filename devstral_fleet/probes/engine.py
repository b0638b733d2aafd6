"""What answers on the endpoint. Asked on the host itself, with the key that lies there: it never leaves the host."""

from collections.abc import Mapping
from typing import Any

from devstral_fleet.facts import EngineFacts
from devstral_fleet.layout import HostLayout
from devstral_fleet.probes import output
from devstral_fleet.redact import REMOVED, scrub
from devstral_fleet.shell import Shell

REQUEST_TIMEOUT_S = 10
# The key is replaced in every answer before it is printed: /server_info returns it among all other arguments.
SCRIPT = r"""
import json, sys, urllib.error, urllib.request
base, header_file, timeout_s, removed = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
try:
    header = open(header_file).read().strip()
except OSError:
    header = ""
name, _, value = header.partition(":")
key = value.strip().split(" ")[-1]
def get(path):
    request = urllib.request.Request(base + path, headers={name: value.strip()} if key else {})
    try:
        with ask(request, timeout=timeout_s) as answer:
            status, text = answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, None
    except Exception:
        return 0, None
    try:
        return status, json.loads(text.replace(key, removed) if key else text)
    except ValueError:
        return status, None
health, _ = get("/health")
found = {"health_status": health, "models": None, "server_info": None}
if health == 200:
    found["models"] = get("/v1/models")[1]
    found["server_info"] = get("/server_info")[1]
print(json.dumps(found))
"""


def command(layout: HostLayout, base_url: str, timeout_s: float) -> list[str]:
    """Words of the probe; the script itself goes to standard input, the key is read from its file on the host."""
    header = str(layout.secrets / "auth.header")
    return ["python3", "-I", "-", base_url, header, f"{timeout_s:g}", REMOVED]


def read(shell: Shell, layout: HostLayout, base_url: str, *, timeout_s: float = REQUEST_TIMEOUT_S) -> EngineFacts:
    """Ask /health and, where that is well, /v1/models and /server_info. An engine that is silent is no error.

    Raises:
        ProbeError: the script failed or printed something else.
    """
    words = command(layout, base_url, timeout_s)
    return parse(output.run(shell, "engine", words, stdin=SCRIPT, timeout_s=3 * timeout_s + 10))


def parse(text: str) -> EngineFacts:
    """Read the script's JSON; what looks like a secret is taken out a second time, by name and by shape."""
    held: Mapping[str, Any] = output.document(text, "engine")
    try:
        status = int(held["health_status"])
        models, info = held["models"], held["server_info"]
        first = models["data"][0] if models else {}
        return EngineFacts(
            healthy=status == 200,
            health_status=status,
            model_id=str(first.get("id", "")),
            max_model_len=int(first.get("max_model_len") or 0),
            server_info=scrub(dict(info)) if isinstance(info, Mapping) else {},
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise output.unreadable("engine", "answers of an unknown form", text) from error
