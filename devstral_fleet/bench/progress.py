"""Read how far a running benchmark is from what it has printed so far."""

import re
from typing import Literal

from devstral_fleet.model import Value

Stage = Literal["starting", "warming-up", "running", "finished"]

_BAR = re.compile(r"\d+%\|[^|\r\n]*\|\s*(\d+)/(\d+) \[")
_OUTPUT_RATE = re.compile(r"^Output token throughput \(tok/s\):\s+([0-9.]+)", re.MULTILINE)


class Progress(Value):
    """How far a benchmark is: `done` of `total` requests; 0 of 0 before the first of them is sent."""

    stage: Stage
    done: int = 0
    total: int = 0
    output_tokens_per_s: float | None = None
    """Known when it has finished."""

    @property
    def text(self) -> str:
        """The words of a moving line."""
        if self.stage != "running":
            return self.stage.replace("-", " ")
        return f"{self.done}/{self.total} requests"


def parse(text: str) -> Progress:
    """Read the job's standard output and error, as far as written, joined in any order.

    tqdm rewrites its bar with carriage returns; the last whole bar counts.
    """
    bars = _BAR.findall(text)
    done, total = (int(number) for number in bars[-1]) if bars else (0, 0)
    rate = _OUTPUT_RATE.search(text)
    if rate:
        return Progress(stage="finished", done=done, total=total, output_tokens_per_s=float(rate[1]))
    if bars:
        return Progress(stage="running", done=done, total=total)
    return Progress(stage="warming-up" if "Starting warmup" in text else "starting")
