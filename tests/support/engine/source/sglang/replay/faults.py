"""Faults on purpose, chosen by the environment. The README lists them."""

import os
from pathlib import Path

AT_START = {"die_at_start", "die_at_start_late", "never_healthy", "slow_health"}
IN_ANSWERS = {
    "wrong_model",
    "wrong_context",
    "no_tool_calls",
    "leak_tool_calls",
    "cut_tool_calls",
    "refuse_tool_results",
    "refuse_pictures",
    "cut_stream",
    "one_piece_stream",
    "empty_answers",
    "hang_on_chat",
    "error_500",
    "accept_anything",
}
IN_BENCH = {"bench_fails", "bench_partial", "bench_hangs", "bench_slow", "die_during_bench"}
KNOWN = AT_START | IN_ANSWERS | IN_BENCH
WITH_NUMBER = {"slow_health", "bench_slow"}


def faults() -> dict[str, float]:
    """The faults asked for now, each with its number (0 where it takes none).

    REPLAY_FAULT_FILE names a file that is read anew each time; while it exists it stands in for REPLAY_FAULT.
    """
    named = os.environ.get("REPLAY_FAULT_FILE", "")
    file = Path(named) if named else None
    text = file.read_text(encoding="utf-8") if file and file.exists() else os.environ.get("REPLAY_FAULT", "")
    return dict(_fault(word.strip()) for word in text.split(",") if word.strip())


def _fault(word: str) -> tuple[str, float]:
    name, colon, number = word.partition(":")
    if name not in KNOWN or (name in WITH_NUMBER) != bool(colon):
        raise SystemExit(f"replay engine: REPLAY_FAULT has no {word!r}; it knows {', '.join(sorted(KNOWN))}")
    return name, float(number or 0)


def milliseconds(variable: str, default: float) -> float:
    """A time of the environment: REPLAY_TTFT_MS, REPLAY_ITL_MS, REPLAY_GENERATE_MS, REPLAY_START_MS."""
    return float(os.environ.get(variable, default))
