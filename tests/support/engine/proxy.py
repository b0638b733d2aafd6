"""A proxy that keeps what passes: between a client and an engine, on the loopback, one request after another."""

import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Exchange = dict[str, Any]


@dataclass
class Recorder:
    """Where the exchanges go. `base_url` is the proxy's."""

    target: str
    exchanges: list[Exchange] = field(default_factory=list)
    base_url: str = ""

    def keep(self, method: str, path: str, sent: bytes, status: int, media_type: str, came: bytes) -> None:
        request = {"method": method, "path": path, "body": json.loads(sent) if sent else None}
        response = {"status": status, "media_type": media_type, "body": came.decode()}
        self.exchanges.append({"request": request, "response": response})


@contextlib.contextmanager
def recording(target: str) -> Iterator[Recorder]:
    """Listen on a free port, hand every request to `target` (a base URL), keep both sides."""
    recorder = Recorder(target)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            pass_on(self, recorder)

        def do_POST(self) -> None:
            pass_on(self, recorder)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        recorder.base_url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield recorder
        server.shutdown()


def pass_on(handler: BaseHTTPRequestHandler, recorder: Recorder) -> None:
    """Forward one request whole, answer whole: streams lose their pace here and keep their bytes."""
    sent = handler.rfile.read(int(handler.headers.get("content-length") or 0))
    headers = {name: handler.headers[name] for name in ("Authorization", "Content-Type") if name in handler.headers}
    request = urllib.request.Request(recorder.target + handler.path, sent or None, headers, method=handler.command)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            status, media_type, came = answer.status, answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as error:
        status, media_type, came = error.code, error.headers.get_content_type(), error.read()
    recorder.keep(handler.command or "", handler.path, sent, status, media_type, came)
    handler.send_response(status)
    handler.send_header("Content-Type", media_type)
    handler.send_header("Content-Length", str(len(came)))
    handler.end_headers()
    handler.wfile.write(came)
