"""A server that SGLang's GSM8K harness can ask, and made-up questions; what it answers to each is the test's."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "key-of-the-answering-server-0123456789"
Answer = Callable[[int], str | None]
"""Number of a question, from 0 up, to the text that is generated for it; None: the server fails."""


def number_of(index: int) -> int:
    """The right number of a question: some have a comma in the file."""
    return (index * 7919) % 20_000


def questions(count: int) -> str:
    """Make a file of so many questions in the form of GSM8K's test.jsonl."""
    return "".join(json.dumps(question(index)) + "\n" for index in range(count))


def question(index: int) -> dict[str, str]:
    """One line: the working holds other numbers, the right one is the last."""
    first = number_of(index)
    working = (
        f"At first there are {index} \u2019sheep\u2018.\nThen <<{index}+{first}-{index}={first}>>{first} are left."
    )
    return {"question": f"How many sheep has farmer {index}?", "answer": f"{working}\n#### {first:,}"}


class Server(ThreadingHTTPServer):
    """The server; `asked` keeps what was sent to /generate, in the order it came."""

    request_queue_size = 2048
    daemon_threads = True
    answer: Answer
    asked: list[dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self._answer(200, {"model_path": "/models/devstral-made-up"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        asked = body["text"].rpartition("farmer ")[2].partition("?")[0]
        text = self.server.answer(int(asked)) if body["sampling_params"]["max_new_tokens"] else ""
        if text is None:
            self._answer(500, {"error": "no room"})
        else:
            self._answer(200, {"text": text, "meta_info": {"completion_tokens": len(text.split())}})

    def _answer(self, status: int, document: object) -> None:
        if self.headers["Authorization"] != f"Bearer {KEY}":
            status, document = 401, {"error": "Unauthorized"}
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def answering_server(answer: Answer) -> Iterator[Server]:
    """Give the running server."""
    server = Server(("127.0.0.1", 0), Handler)
    server.answer, server.asked = answer, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
