"""The engine's log: the real one's recorded lines, with this engine's time and process id."""

import json
import os
import re
import sys
import time
from pathlib import Path

from sglang.replay.recorded import fill, recorded

STAMP = re.compile(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]")
PID = re.compile(r"(?<=pid=)\d+|(?<=server process \[)\d+")
ARGUMENTS = "server_args="
"""The line that holds every argument, the API key among them."""
ARGUMENTS_LOGGER = "sglang.srt.entrypoints.engine"
LISTENING = "Uvicorn running on"
"""The line before which nothing answers."""


class Journal:
    """Writes lines to standard output, flushed: a service manager keeps them."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values

    def say(self, text: str) -> None:
        self._write(f"[{time.strftime('%Y-%m-%d %H:%M:%S')}] {text}")

    def before_listening(self) -> None:
        self.replay(self._start_lines()[: self._listening_index()])

    def after_listening(self) -> None:
        """The lines up to the ready line, without the recorder's own questions."""
        rest = self._start_lines()[self._listening_index() :]
        self.replay([line for line in rest if '"GET /health' not in line])

    def end(self) -> None:
        self.replay(recorded("log")["lines"]["end"])

    def fatal(self, name: str, fault: str = "") -> int:
        """Write how the real engine died, and the fault that asked for it; return the real exit status."""
        death = recorded("log")["fatal"][name]
        self.replay(death["lines"])
        if fault:
            self.say(f"replay engine: REPLAY_FAULT asked for {fault}")
        status: int = death["exit_status"]
        return status

    def replay(self, lines: list[str]) -> None:
        now = time.strftime("[%Y-%m-%d %H:%M:%S]")
        for line in lines:
            if ARGUMENTS in line and arguments_are_silenced():
                continue
            self._write(PID.sub(str(os.getpid()), STAMP.sub(now, fill(line, self.values))))

    def _start_lines(self) -> list[str]:
        lines: list[str] = recorded("log")["lines"]["start"]
        return lines

    def _listening_index(self) -> int:
        return next(index for index, line in enumerate(self._start_lines()) if LISTENING in line)

    def _write(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def arguments_are_silenced() -> bool:
    """Tell whether the logging configuration that the real engine would read leaves out the line of arguments."""
    path = os.environ.get("SGLANG_LOGGING_CONFIG_PATH")
    if not path:
        return False
    loggers = json.loads(Path(path).read_text(encoding="utf-8")).get("loggers", {})
    return loggers.get(ARGUMENTS_LOGGER, {}).get("level", "INFO") not in ("DEBUG", "INFO")
