"""Record the real SGLang for the replay engine. Anyone can run it again:

    .venv/bin/python -m tests.support.engine.record --environment <engine environment> --model <devstral-tiny>

Needs a few minutes: it starts the real engine three times, twice to see it die. It writes recorded/*.json, each with
where it comes from, and refuses to write a path of the machine that recorded.
"""

import argparse
import json
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from devstral_fleet import smoke
from tests.support.engine.planned import plan_of
from tests.support.engine.proxy import Exchange, recording
from tests.support.engine.scrub import Scrub
from tests.support.ports import free_port
from tests.support.real_engine import (
    CPU_ENVIRONMENT,
    EngineNotReadyError,
    EngineWish,
    RunningEngine,
    serve,
    start,
    stop,
    wait_for_health,
)

RECORDED = Path(__file__).parent / "recorded"
COMMAND = "python -m tests.support.engine.record"
PAGES = ("/model_info", "/server_info", "/metrics", "/health", "/ping")
GENERATE_TOKENS = 8
FATAL_LINES = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    python = options.environment / "bin" / "python"
    with tempfile.TemporaryDirectory() as directory:
        wish = EngineWish(python=python, model=options.model, directory=Path(directory), port=free_port())
        scrub = Scrub.of(wish)
        flags = flags_of(python)
        write = Writer(scrub, flags["versions"])
        write("flags", flags)
        write("answers", answers(wish))
        write("log", {"lines": log_lines(wish), "fatal": fatal_lines(wish)})


class Writer:
    """Writes one recorded file: where it comes from first, then the record, free of this machine's paths."""

    def __init__(self, scrub: Scrub, versions: dict[str, str]) -> None:
        self.scrub = scrub
        self.source = {"recorded": datetime.now(UTC).date().isoformat(), "command": COMMAND, "versions": versions}

    def __call__(self, name: str, record: dict[str, Any]) -> None:
        text = self.scrub(json.dumps({"source": self.source, **record}, indent=1, ensure_ascii=False))
        RECORDED.mkdir(exist_ok=True)
        json.loads(text)
        (RECORDED / f"{name}.json").write_text(text + "\n")


def flags_of(python: Path) -> dict[str, Any]:
    script = Path(__file__).with_name("flags_of.py")
    command = [str(python), str(script)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=CPU_ENVIRONMENT).stdout
    flags: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return flags


def answers(wish: EngineWish) -> dict[str, Any]:
    """Everything an engine under test is asked: the smoke checks, the pages that probes read, a benchmark."""
    with serve(wish) as engine:
        with recording(engine.base_url) as recorder:
            checked = smoke.run(
                base_url=recorder.base_url, api_key=engine.api_key, plan=plan_of(engine), timeout_s=60.0
            )
            assert all(finding.state == "ok" for finding in checked), checked
            for page in PAGES:
                ask(recorder.base_url + page, engine)
            for stream in (False, True):
                ask(recorder.base_url + "/generate", engine, generate_body(stream=stream))
            exchanges = list(unlike(recorder.exchanges))
        bench = benchmark(wish, engine)
        return {"exchanges": exchanges, "bench": bench}


def ask(url: str, engine: RunningEngine, body: dict[str, Any] | None = None) -> None:
    headers = {"Authorization": f"Bearer {engine.api_key}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
        answer.read()


def generate_body(*, stream: bool) -> dict[str, Any]:
    """The body that bench_serving sends, with a short prompt."""
    sampling = {"temperature": 0.0, "max_new_tokens": GENERATE_TOKENS, "ignore_eos": True}
    return {"text": "a b c", "sampling_params": sampling, "stream": stream}


def unlike(exchanges: list[Exchange]) -> Iterator[Exchange]:
    """Drop an exchange that only repeats an earlier one (the model list is asked several times)."""
    seen: list[tuple[object, int]] = []
    for exchange in exchanges:
        key = (exchange["request"], exchange["response"]["status"])
        if key not in seen:
            seen.append(key)
            yield exchange


def benchmark(wish: EngineWish, engine: RunningEngine) -> dict[str, Any]:
    """One small benchmark of the real bench_serving: what it prints, and its JSON line without the server's part."""
    output = wish.directory / "bench.jsonl"
    words = ["--backend", "sglang", "--host", "127.0.0.1", "--port", str(engine.port), "--model", str(wish.model)]
    words += ["--dataset-name", "random-ids", "--random-input-len", "1000", "--random-output-len", "1000"]
    words += ["--random-range-ratio", "0.0", "--num-prompts", "10", "--max-concurrency", "4", "--seed", "1"]
    words += ["--output-file", str(output)]
    command = [str(wish.python), "-m", "sglang.bench_serving", *words]
    environment = CPU_ENVIRONMENT | {"OPENAI_API_KEY": engine.api_key}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    result = json.loads(output.read_text())
    result["server_info"] = "the answer of /server_info"
    return {"arguments": words, "stdout": done.stdout.splitlines(), "result": result}


def log_lines(wish: EngineWish) -> dict[str, list[str]]:
    """The log of `answers`: what came before its first request by a client, and what came after SIGTERM."""
    lines = (wish.directory / "engine.log").read_text(errors="replace").splitlines()
    ready = next(index for index, line in enumerate(lines) if "fired up and ready to roll" in line)
    end = next(index for index, line in enumerate(lines) if "SIGTERM received" in line)
    return {"start": lines[: ready + 1], "end": lines[end:]}


def fatal_lines(wish: EngineWish) -> dict[str, Any]:
    """How the real engine dies: of a wrong argument, at once; of weights it cannot read, after a while."""
    broken = wish.directory / "broken"
    broken.mkdir()
    for file in wish.model.iterdir():
        (broken / file.name).write_bytes(b"garbage" if file.suffix == ".safetensors" else file.read_bytes())
    return {
        "argument": death(wish, wish.model, context_length=99_999_999),
        "weights": death(wish, broken, context_length=wish.context_length),
    }


def death(wish: EngineWish, model: Path, *, context_length: int) -> dict[str, Any]:
    directory = wish.directory / f"fatal-{context_length}"
    directory.mkdir()
    doomed = EngineWish(
        python=wish.python, model=model, directory=directory, port=free_port(), context_length=context_length
    )
    process = start(doomed)
    try:
        wait_for_health(doomed, process, deadline_s=180.0)
    except EngineNotReadyError:
        lines = (directory / "engine.log").read_text(errors="replace").splitlines()
        return {"exit_status": process.wait(60), "lines": lines[-FATAL_LINES:]}
    finally:
        stop(process)
    raise AssertionError("the engine was expected to die")


if __name__ == "__main__":
    main()
