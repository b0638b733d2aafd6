"""A hub on loopback: what huggingface_hub asks of one, and what may go wrong there.

The answers' form is huggingface.co's, as the real client reads it: /api/models/REPOSITORY/revision/REVISION?blobs=true,
and HEAD and GET of /REPOSITORY/resolve/REVISION/FILE with ranges. Files above LARGE bytes are large files (LFS), whose
SHA-256 the hub says; of the others it says git's blob id.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

LARGE = 10_000
PIECE_S = 0.05
REPOSITORY = "mistralai/Devstral-Small-2-24B-Instruct-2512"
Fault = Literal["cut", "wrong", "busy", "unavailable", "no-ranges", "lost"]
"""Of one answer to a GET of a file: cut half-way, other bytes of the same number, 429, 503, ranges ignored, 404."""


@dataclass
class Hub:
    """What the hub has, and what it was asked. `faults`: file -> what goes wrong with its next answers, in order."""

    files: Mapping[str, bytes]
    revision: str = "0123456789abcdef0123456789abcdef01234567"
    token: str = ""
    """What a request must carry; '' for a repository that is open to all."""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    bytes_a_second: int = 0
    """How fast large files go out; 0 for as fast as it goes."""
    endpoint: str = ""
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes of each file that went out."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and range of each request."""
    sending: set[str] = field(default_factory=set)
    """Files that go out now."""

    @property
    def idle(self) -> bool:
        """Whether no file goes out."""
        return not self.sending

    def description(self) -> dict[str, Any]:
        """The repository with its files, as the hub's interface says it."""
        return {
            "id": REPOSITORY,
            "modelId": REPOSITORY,
            "sha": self.revision,
            "private": False,
            "gated": "manual" if self.token else False,
            "siblings": [_sibling(name, content) for name, content in self.files.items()],
        }


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    said = {"rfilename": name, "size": len(content), "blobId": _blob(content)}
    if len(content) <= LARGE:
        return said
    return {**said, "lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}}


def hash_of(content: bytes) -> str:
    """What the hub says of a file's content, in the spelling of a pin."""
    if len(content) <= LARGE:
        return f"git:{_blob(content)}"
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.asked.append((self.command, path, self.headers.get("Range", "")))
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._refuse(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to this model is restricted."})
        elif path in {
            f"/api/models/{REPOSITORY}",
            *(f"/api/models/{REPOSITORY}/revision/{each}" for each in self._names()),
        }:
            self._whole(json.dumps(hub.description()).encode(), {"Content-Type": "application/json"})
        else:
            self._file(path, body=body)

    def _names(self) -> tuple[str, str]:
        return self.hub.revision, "main"

    def _file(self, path: str, *, body: bool) -> None:
        prefixes = [f"/{REPOSITORY}/resolve/{name}/" for name in self._names()]
        name = next((path.removeprefix(prefix) for prefix in prefixes if path.startswith(prefix)), "")
        fault = self._fault(name) if body else None
        if name not in self.hub.files or fault == "lost":
            self._refuse(404, {"X-Error-Code": "EntryNotFound"})
        elif fault in ("busy", "unavailable"):
            self._refuse(429 if fault == "busy" else 503, {"Retry-After": "1"} if fault == "busy" else {})
        else:
            self._send_file(name, fault, body=body)

    def _fault(self, name: str) -> Fault | None:
        waiting = self.hub.faults.get(name)
        return waiting.pop(0) if waiting else None

    def _send_file(self, name: str, fault: Fault | None, *, body: bool) -> None:
        content = self.hub.files[name]
        etag = hashlib.sha256(content).hexdigest() if len(content) > LARGE else _blob(content)
        if fault == "wrong":
            content = bytes(len(content))
        start = 0 if fault == "no-ranges" else self._start()
        headers = {"X-Repo-Commit": self.hub.revision, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        headers["X-Linked-Size"] = str(len(content))
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send_response(206 if start else 200)
        for header, value in {**headers, "Content-Length": str(len(content) - start)}.items():
            self.send_header(header, value)
        self.end_headers()
        if body:
            sent = content[start : start + (len(content) - start) // 2] if fault == "cut" else content[start:]
            self._write(name, sent)
            self.close_connection = fault == "cut"

    def _write(self, name: str, content: bytes) -> None:
        """Send a file, at the hub's pace; `sent` counts what a client that goes away did not take too."""
        pause, gone = threading.Event(), 0
        self.hub.sending.add(name)
        try:
            while gone < len(content):
                pace = int(self.hub.bytes_a_second * PIECE_S) or len(content)
                piece = content[gone : gone + pace]
                self.hub.sent[name] += len(piece)
                self.wfile.write(piece)
                gone += len(piece)
                pause.wait(PIECE_S if pace < len(content) else 0)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self.hub.sending.discard(name)

    def _start(self) -> int:
        wanted = self.headers.get("Range", "")
        return int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0

    def _whole(self, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(200)
        for header, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for header, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(header, value)
        self.end_headers()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Let the hub answer while the context lasts; its `endpoint` is set."""
    answers = type("Answers", (_Answers,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), answers)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
