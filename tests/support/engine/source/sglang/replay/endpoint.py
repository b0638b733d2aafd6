"""The engine's HTTP side: the key, the routes, streams, and the refusal of what was not recorded."""

import json
import select
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sglang.replay.answers import NotRecordedError, tokenize_answer
from sglang.replay.engine import (
    DEFAULT_GENERATE_MS,
    HANG_AT_REQUEST,
    PARTIAL_EVERY,
    Answer,
    Engine,
    generate_events,
)
from sglang.replay.faults import faults, milliseconds
from sglang.replay.recorded import page

EVENTS = "text/event-stream"
CLIENT_POLL_S = 0.05


class EngineServer(ThreadingHTTPServer):
    """Listens for one Engine."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], engine: Engine) -> None:
        self.engine = engine
        super().__init__(address, Handler)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: EngineServer

    def do_GET(self) -> None:
        self._guarded(self._get)

    def do_POST(self) -> None:
        self._guarded(self._post)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        """Write uvicorn's access line."""
        phrase = self.responses.get(int(code), ("",))[0] if str(code).isdigit() else ""
        client = f"{self.client_address[0]}:{self.client_address[1]}"
        self.server.engine.journal.say(
            f'INFO:     {client} - "{self.command} {self.path} HTTP/1.1" {int(code)} {phrase}'
        )

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _guarded(self, act: Any) -> None:
        engine = self.server.engine
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if not engine.permits(path, self.headers.get("Authorization")):
            return self._answer((401, "application/json", page("/v1/models", 401)["body"]))
        with engine.lock:
            engine.running += 1
        try:
            act(path, sent)
        except NotRecordedError as error:
            self._answer((501, "application/json", json.dumps({"error": f"replay engine: not recorded: {error}"})))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with engine.lock:
                engine.running -= 1

    def _get(self, path: str, _: bytes) -> None:
        self._answer(self.server.engine.get(path))

    def _post(self, path: str, sent: bytes) -> None:
        body = json.loads(sent or b"{}")
        if path == "/v1/chat/completions":
            self._chat(body)
        elif path in ("/v1/tokenize", "/tokenize"):
            self._answer((200, "application/json", tokenize_answer(body)))
        elif path == "/generate":
            self._generate(body)
        else:
            raise NotRecordedError(f"POST {path}")

    def _chat(self, body: dict[str, Any]) -> None:
        if "hang_on_chat" in faults():
            return self._hang()
        status, media_type, text = self.server.engine.chat(body)
        if media_type != EVENTS:
            return self._answer((status, media_type, text))
        events = [event for event in text.split("\n\n") if event]
        cut = len(events) // 2 if "cut_stream" in faults() else None
        self._stream(events[:cut], whole=cut is None)

    def _generate(self, body: dict[str, Any]) -> None:
        tokens = int(body["sampling_params"]["max_new_tokens"])
        number, ttft_ms, itl_ms = self.server.engine.generation()
        broken = faults()
        if "bench_hangs" in broken and number >= HANG_AT_REQUEST:
            return self._hang()
        if "bench_fails" in broken or ("bench_partial" in broken and number % PARTIAL_EVERY == 0):
            return self._answer((500, "application/json", json.dumps({"error": {"message": "replay engine: a fault"}})))
        self.server.engine.stopping.wait(milliseconds("REPLAY_GENERATE_MS", DEFAULT_GENERATE_MS) / 1000)
        events = generate_events(tokens, ttft_ms, itl_ms)
        if not body.get("stream"):
            return self._answer((200, "application/json", events[-1]))
        self._stream([f"data: {event}" for event in events] + ["data: [DONE]"], whole=True)

    def _answer(self, answer: Answer) -> None:
        status, media_type, text = answer
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, events: list[str], *, whole: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", EVENTS)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            content = f"{event}\n\n".encode()
            self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
            self.wfile.flush()
        if whole:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _hang(self) -> None:
        """Say nothing until the client has gone; a client that left is no running request any more."""
        self.close_connection = True
        while not select.select([self.connection], [], [], CLIENT_POLL_S)[0]:
            pass
