"""The state of one replay engine: what it serves, whether it is up, how many requests run."""

import json
import os
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sglang.replay import answers
from sglang.replay.faults import faults, milliseconds
from sglang.replay.journal import Journal
from sglang.replay.recorded import RECORDED_MODEL, fill, page

Answer = tuple[int, str, str]
"""Status, media type, body."""
OPEN_PATHS = ("/health", "/ready", "/metrics")
"""Prefixes that need no key."""
DEATH_AT_REQUEST = 3
HANG_AT_REQUEST = 3
PARTIAL_EVERY = 5
PIECES = 4
NO_PICTURES = {
    "object": "error",
    "message": "Internal server error: 'CudaIpcTensorTransportProxy' object is not subscriptable",
    "type": "InternalServerError",
    "param": None,
    "code": 500,
}
"""Recorded from SGLang 0.5.17 with Devstral Small 2 on an H200, 2026-11-29: two pictures in one message."""
DEFAULT_TTFT_MS, DEFAULT_ITL_MS, DEFAULT_GENERATE_MS = 36.0, 3.8, 2.0


@dataclass
class Engine:
    """One engine. `given` are the flags of its command line, `values` fill the records' names in braces."""

    given: dict[str, Any]
    values: dict[str, str]
    journal: Journal
    status: str = "starting"
    """'starting', 'up' or 'stopping'."""
    running: int = 0
    generated: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def model(self) -> str:
        return str(self.given.get("served_model_name") or self.given["model_path"])

    @property
    def context_length(self) -> int:
        return int(self.given.get("context_length") or model_context(self.given["model_path"]))

    def permits(self, path: str, authorization: str | None) -> bool:
        """Tell whether the request carries the key, where there is one."""
        key = self.given.get("api_key")
        return (
            not key or path.startswith(OPEN_PATHS) or authorization == f"Bearer {key}" or "accept_anything" in faults()
        )

    def get(self, path: str) -> Answer:
        """Answer a page. Raises NotRecordedError for one that was never asked of the real engine."""
        if path in ("/health", "/health_generate", "/ready", "/ping"):
            return 200 if self.status == "up" else 503, "text/plain", ""
        if path == "/v1/models":
            return 200, "application/json", self._models()
        if path in ("/model_info", "/get_model_info"):
            return 200, "application/json", self._model_info()
        if path in ("/server_info", "/get_server_info"):
            return 200, "application/json", self._server_info()
        if path == "/metrics" and self.given.get("enable_metrics"):
            text = page("/metrics")["body"].replace(f'"{RECORDED_MODEL}"', json.dumps(self.model))
            return 200, "text/plain; version=0.0.4; charset=utf-8", fill(text, self.values)
        raise answers.NotRecordedError(f"GET {path}")

    def chat(self, body: answers.Body) -> Answer:
        """Answer a chat request, wrongly where a fault asks for it."""
        broken = faults()
        if "error_500" in broken:
            error = {"object": "error", "message": "Internal Server Error", "type": "InternalServerError", "code": 500}
            return 500, "application/json", json.dumps(error)
        if "refuse_tool_results" in broken and answers.shape(body)["last message"] == "tool":
            message = "After the optional system message, conversation roles must alternate user/assistant"
            return 400, "application/json", json.dumps({"object": "error", "message": message, "code": 400})
        if "refuse_pictures" in broken and answers.shape(body)["pictures"]:
            return 500, "application/json", json.dumps(NO_PICTURES)
        if "accept_anything" in broken and answers.is_wrong(body):
            body = answers.without_tools(body) | {"max_tokens": 8}
        calls = answers.shape(body)["tool_choice"] == "required"
        if calls and ("no_tool_calls" in broken or "leak_tool_calls" in broken):
            body = answers.without_tools(body)
        status, media_type, text = answers.chat_answer(body)
        return status, media_type, fill(self._broken(text, calls=calls), self.values)

    def _broken(self, text: str, *, calls: bool) -> str:
        broken = faults()
        if "leak_tool_calls" in broken and calls:
            text = answers.leaked(text)
        if "cut_tool_calls" in broken:
            text = answers.cut_call(text)
        if "one_piece_stream" in broken:
            text = answers.one_piece(text)
        return answers.empty(text) if "empty_answers" in broken else text

    def generation(self) -> tuple[int, float, float]:
        """Count one benchmark request: its number, its declared TTFT and ITL in ms."""
        with self.lock:
            self.generated += 1
            number = self.generated
        broken = faults()
        if "die_during_bench" in broken and number >= DEATH_AT_REQUEST:
            os.kill(os.getpid(), signal.SIGKILL)
        factor = broken.get("bench_slow", 1.0)
        ttft_ms, itl_ms = milliseconds("REPLAY_TTFT_MS", DEFAULT_TTFT_MS), milliseconds("REPLAY_ITL_MS", DEFAULT_ITL_MS)
        return number, ttft_ms * factor, itl_ms * factor

    def _models(self) -> str:
        broken = faults()
        listed = json.loads(page("/v1/models")["body"])
        model = "another-model" if "wrong_model" in broken else self.model
        length = self.context_length // 2 if "wrong_context" in broken else self.context_length
        listed["data"][0] |= {"id": model, "root": model, "max_model_len": length}
        return json.dumps(listed)

    def _model_info(self) -> str:
        info = json.loads(fill(page("/model_info")["body"], self.values))
        return json.dumps(info | {"served_model_name": self.model})

    def _server_info(self) -> str:
        info = json.loads(fill(page("/server_info")["body"], self.values))
        given = {key: value for key, value in self.given.items() if key in info}
        info |= given | {"launch_command": self.values["launch_command"]}
        for state in info["internal_states"]:
            state.update({key: value for key, value in given.items() if key in state})
        return json.dumps(info)


def model_context(directory: str) -> int:
    """The context length that the model's files allow."""
    config = json.loads((Path(directory) / "config.json").read_text(encoding="utf-8"))
    length: int = config.get("text_config", config)["max_position_embeddings"]
    return length


def generate_events(tokens: int, ttft_ms: float, itl_ms: float) -> list[str]:
    """Write /generate's answer of `tokens` tokens as a few cumulative pieces, in the recorded form.

    `replay` in the meta information declares the times that the engine pretends; bench_serving's stand-in counts by
    them, so that its numbers do not depend on how busy this machine is.
    """
    recorded_pieces = [
        json.loads(event.removeprefix("data: "))
        for event in _recorded_stream().split("\n\n")
        if event.startswith("data: {")
    ]
    counts = sorted({1, *(tokens * step // PIECES for step in range(1, PIECES + 1))} - {0})
    events = []
    for count in counts:
        piece = recorded_pieces[-1] if count == tokens else recorded_pieces[0]
        declared = {"replay": {"ttft_ms": ttft_ms, "itl_ms": itl_ms}, "completion_tokens": count}
        events.append(json.dumps(piece | {"meta_info": piece["meta_info"] | declared}))
    return events


def _recorded_stream() -> str:
    for exchange in answers.exchanges():
        if exchange["request"]["path"] == "/generate" and exchange["request"]["body"]["stream"]:
            stream: str = exchange["response"]["body"]
            return stream
    raise answers.NotRecordedError("a streamed /generate")
