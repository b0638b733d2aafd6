"""A wheel that provides the module `sglang`, just enough to be a service: it listens, answers /health and ends.

It exists to test what surrounds an engine. What an engine answers is replayed by tests/support/engine.
"""

import base64
import hashlib
import zipfile
from pathlib import Path

LAUNCH_SERVER = '''
"""Answer /health on --host and --port until SIGTERM; fail at once when told to by FAIL_AT_START."""
import http.server, os, pathlib, signal, sys

if "FAIL_AT_START" in os.environ:
    sys.exit("no memory left for the stand-in")


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()


key = pathlib.Path(option("--config")).read_text()
assert key.startswith("api-key: "), "no key in --config"
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("stand-in serves", option("--served-model-name"), flush=True)
http.server.ThreadingHTTPServer((option("--host"), int(option("--port"))), Handler).serve_forever()
'''


def make_requirements(folder: Path, version: str = "1") -> Path:
    """Write the wheel and a requirements file that pins it by hash; return the requirements file."""
    wheel = folder / f"sglang-{version}-py3-none-any.whl"
    files = {
        "sglang/__init__.py": "",
        "sglang/launch_server.py": LAUNCH_SERVER,
        f"sglang-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: sglang\nVersion: {version}\n",
        f"sglang-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"sglang-{version}.dist-info/RECORD"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(record, "".join(_record_line(name, text) for name, text in files.items()) + f"{record},,\n")
    requirements = folder / "engine.lock"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    requirements.write_text(f"sglang @ {wheel.as_uri()} --hash=sha256:{digest}\n")
    return requirements


def _record_line(name: str, text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(text.encode())}\n"
