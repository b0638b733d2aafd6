"""A server that calls tools as it should: each argument is the smallest that fits the schema. Or with one fault."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ROLES = {"system", "user", "assistant", "tool"}
Calls = list[tuple[str, Any]]
TRAINED: dict[str, Calls] = {
    "Beijing": [("get_weather", {"location": "Beijing"})],
    "Paris": [("weather", {"location": place, "unit": "celsius"}) for place in ("Paris", "Rome")],
    "tests/unit": [("run_tests", {"folder": "tests/unit", "repeat": 3})],
    "What time": [("no_argument", {})],
    "Paulo": [("weather", {"location": "São Paulo", "unit": "celsius"})],
    "hello.py": [("write_file", {"path": "hello.py", "content": 'print("hi")\n'})],
}
"""What a question has in it, and the calls that a trained model makes then."""


def instance(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Return the smallest value that fits a schema of the cases."""
    if "$ref" in schema:
        return instance(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return instance(schema["anyOf"][0], root)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if schema.get("type") == "object":
        return {name: instance(schema["properties"][name], root) for name in schema.get("required", ())}
    if schema.get("type") == "array":
        return [instance(schema["items"], root) for _ in range(schema.get("minItems", 0))]
    return {"string": "", "integer": 0, "number": 0.5, "boolean": True, "null": None}[schema["type"]]


def wrong(body: Mapping[str, Any]) -> bool:
    """Tell whether a request breaks the API's rules."""
    tools, choice = body.get("tools", []), body.get("tool_choice")
    names = {tool["function"].get("name") for tool in tools}
    named = choice["function"]["name"] if isinstance(choice, dict) else None
    return (
        any(message["role"] not in ROLES for message in body["messages"])
        or None in names
        or (named is not None and named not in names)
        or (isinstance(choice, str) and choice not in {"auto", "none", "required"})
        or (choice == "required" and not tools)
    )


class Server(ThreadingHTTPServer):
    """The server; `fault` is the one that it has now, '' for none."""

    fault = ""
    trained = False

    def answer(self, body: Mapping[str, Any]) -> tuple[str, Calls]:
        """Return words and calls."""
        question = next(each["content"] for each in reversed(body["messages"]) if each["role"] == "user")
        results = [each["content"] for each in body["messages"] if each["role"] == "tool"]
        choice, tools = body.get("tool_choice", "none"), body.get("tools", [])
        if choice == "none" or not tools or (choice == "auto" and results):
            return " ".join(["I read", *results, question]), []
        if choice == "auto":
            calls = next((calls for word, calls in TRAINED.items() if word in question), [])
            return ("" if calls else question), list(calls)
        named = choice["function"]["name"] if isinstance(choice, dict) else tools[0]["function"]["name"]
        (function,) = (tool["function"] for tool in tools if tool["function"]["name"] == named)
        return "", [(named, instance(function["parameters"], function["parameters"]))]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/tokenize":
            self._send(200, {"tokens": [[index] for index, _ in enumerate(body["prompt"])]})
        elif wrong(body) and self.server.fault != "accepts":
            self._send(400, {"error": {"message": "no"}})
        else:
            self._complete(body)

    def _complete(self, body: Mapping[str, Any]) -> None:
        text, calls = ("hello", []) if wrong(body) else self.server.answer(body)
        message, finish = faulty(self.server.fault, text, calls)
        if not body.get("stream"):
            self._send(
                200,
                {
                    "id": "1",
                    "object": "chat.completion",
                    "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                },
            )
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta, end in pieces(self.server.fault, message, finish):
            chunk = {
                "id": "1",
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": delta, "finish_reason": end}],
            }
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def _send(self, status: int, document: object) -> None:
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def faulty(fault: str, text: str, calls: Calls) -> tuple[dict[str, Any], str]:
    """Return a message and its end, with the fault in it."""
    if fault == "leaks" and calls:
        return {"role": "assistant", "content": f"[TOOL_CALLS]{calls[0][0]}[ARGS]{{}}"}, "stop"
    if fault == "calls_unasked" and not calls:
        calls = [("weather", {"location": "", "unit": "celsius"})]
    if fault == "silent" and not calls:
        text = ""
    made: list[dict[str, Any]] = [
        {"id": f"call{index}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for index, (name, arguments) in enumerate(calls)
    ]
    for call in made:
        changes: dict[str, Any] = {
            "stranger": {"name": "fly", "arguments": "{}"},
            "cut": {"name": call["function"]["name"], "arguments": '{"'},
            "misfit": {"name": call["function"]["name"], "arguments": '{"other": 1}'},
        }
        call["function"] = changes.get(fault, call["function"])
        call["id"] = "" if fault == "without_id" else call["id"]
    if fault == "twice" and made:
        made = [*made, {**made[0], "id": "call9"}]
    finish = "stop" if fault == "wrong_end" or not made else "tool_calls"
    return {"role": "assistant", "content": text, **({"tool_calls": made} if made else {})}, finish


def pieces(fault: str, message: Mapping[str, Any], finish: str) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Give a stream's deltas, each character of the arguments in one of its own."""
    for letter in message["content"]:
        yield {"content": letter}, None
    for index, call in enumerate(message.get("tool_calls", ())):
        place = index + 1 if fault == "gap" else index
        name = "" if fault == "nameless" else call["function"]["name"]
        yield {"tool_calls": [{"index": place, "id": call["id"], "type": "function", "function": {"name": name}}]}, None
        for letter in call["function"]["arguments"]:
            again = {"name": name} if fault == "named_again" else {}
            yield {"tool_calls": [{"index": place, "function": {"arguments": letter, **again}}]}, None
    yield {}, finish
    if fault == "ends_twice":
        yield {}, finish


@contextmanager
def tool_server() -> Iterator[Server]:
    """Give the running server."""
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
