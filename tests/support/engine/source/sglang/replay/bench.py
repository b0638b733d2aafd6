"""bench_serving's stand-in: the real requests, lengths and printed form; times as the replay engine declares them."""

import json
import os
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sglang.replay.figures import Done, details, printed, result
from sglang.replay.flags import defaults, parser
from sglang.replay.lengths import sample

HONOURED = {
    *("backend", "base_url", "host", "port", "ready_check_timeout_sec", "dataset_name", "model", "tokenizer"),
    *("served_model_name", "num_prompts", "random_input_len", "random_output_len", "random_range_ratio"),
    *("request_rate", "max_concurrency", "output_file", "seed", "warmup_requests", "tag", "extra_request_body"),
    *("disable_tqdm", "temperature", "output_details"),
}
WARMUP_TOKENS = 32
WORD = " a"


@dataclass(frozen=True)
class Options:
    """The command line, with the real program's defaults."""

    values: dict[str, Any]

    @property
    def base_url(self) -> str:
        return self.values["base_url"] or f"http://{self.values['host']}:{self.values['port'] or 30000}"

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def main(argv: list[str]) -> None:
    """Run one benchmark and append its JSON line."""
    options = options_of(argv)
    say(f"benchmark_args=Namespace({', '.join(f'{name}={value!r}' for name, value in options.values.items())})")
    wait_until_ready(options)
    tokenizer_is_there(options)
    ratio, count = options["random_range_ratio"], options["num_prompts"]
    lengths = sample(options["seed"], ratio, options["random_input_len"], options["random_output_len"], count)
    say(
        f"#Input tokens: {sum(length for length, _ in lengths)}\n#Output tokens: {sum(length for _, length in lengths)}"
    )
    warm_up(options, lengths[0])
    done = ask_all(options, lengths)
    line = result(options.values, done, server_info(options))
    say("\n".join(printed(line)))
    if options["output_details"]:
        line |= details(done)
    with Path(options["output_file"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def options_of(argv: list[str]) -> Options:
    made = parser("bench", "bench_serving.py")
    given = vars(made.parse_args(argv))
    strange = set(given) - HONOURED
    if strange or given.get("backend", "sglang") != "sglang" or given.get("dataset_name") != "random-ids":
        made.error(f"the replay engine has no recording of this benchmark: {', '.join(sorted(strange)) or given}")
    if not given.get("output_file"):
        made.error("the replay engine needs --output-file")
    values = defaults("bench") | given
    values["request_rate"] = float(values["request_rate"] or "inf")
    return Options(values)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def post(options: Options, input_tokens: int, output_tokens: int) -> Done:
    """Send one /generate and read its stream; a refusal is a request that failed, as in the real program."""
    sampling = {"temperature": options["temperature"], "max_new_tokens": output_tokens, "ignore_eos": True}
    body = {"text": WORD * input_tokens, "sampling_params": sampling, "stream": True}
    body |= json.loads(options["extra_request_body"] or "{}")
    try:
        with urllib.request.urlopen(request(options, "/generate", body), timeout=6 * 3600) as answer:
            pieces = [json.loads(line[6:]) for line in answer if line.startswith(b"data: {")]
    except urllib.error.HTTPError as error:
        return Done(input_tokens, error=f"{error.reason}: {error.read().decode()}")
    except (OSError, ValueError) as error:
        return Done(input_tokens, error="".join(traceback.format_exception(error)))
    meta = pieces[-1]["meta_info"]
    declared = meta["replay"]
    return Done(input_tokens, meta["completion_tokens"], declared["ttft_ms"] / 1000, declared["itl_ms"] / 1000)


def request(options: Options, path: str, body: dict[str, Any] | None = None) -> urllib.request.Request:
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("OPENAI_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    return urllib.request.Request(options.base_url + path, json.dumps(body).encode() if body else None, headers)


def read(options: Options, path: str) -> Any:
    with urllib.request.urlopen(request(options, path), timeout=5) as answer:
        return json.load(answer)


def wait_until_ready(options: Options) -> None:
    url, patience_s = options.base_url + "/v1/models", options["ready_check_timeout_sec"]
    say(f"Waiting up to {patience_s}s for {url} to become ready...")
    start_s = time.perf_counter()
    while True:
        try:
            read(options, "/v1/models")
        except OSError:
            if time.perf_counter() - start_s >= patience_s:
                say(f"Server did not become ready within {patience_s}s timeout.")
                say(f"Server at {url} is not ready. Exiting.")
                sys.exit(1)
            time.sleep(1)
        else:
            return say(f"Server ready in {time.perf_counter() - start_s:.1f}s.")


def tokenizer_is_there(options: Options) -> None:
    directory = options["tokenizer"] or read(options, "/model_info")["tokenizer_path"]
    if not Path(directory).is_dir():
        raise OSError(f"Repo id must be in the form 'repo_name' or 'namespace/repo_name': '{directory}'.")


def warm_up(options: Options, lengths: tuple[int, int]) -> None:
    count = options["warmup_requests"]
    say(f"Starting warmup with {count} sequences...")
    tries = [post(options, lengths[0], min(lengths[1], WARMUP_TOKENS)) for _ in range(count)]
    if tries and all(each.error for each in tries):
        reason = "Warmup failed - Please make sure benchmark arguments are correctly specified. Error: "
        raise ValueError(reason + tries[0].error)
    say(f"Warmup completed with {count} sequences. Starting main benchmark run...")


def ask_all(options: Options, lengths: list[tuple[int, int]]) -> list[Done]:
    """Send every request, at most `max_concurrency` at a time, and show the progress."""
    with ThreadPoolExecutor(options["max_concurrency"] or len(lengths)) as pool:
        progress = Progress(len(lengths), quiet=bool(options["disable_tqdm"]))
        return list(pool.map(progress.counted(lambda pair: post(options, *pair)), lengths))


class Progress:
    """tqdm's line on standard error."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self.total, self.quiet, self.done = total, quiet, 0
        self.start_s = time.perf_counter()
        self.lock = threading.Lock()
        self._show()

    def counted(self, act: Callable[[tuple[int, int]], Done]) -> Callable[[tuple[int, int]], Done]:
        def acted(pair: tuple[int, int]) -> Done:
            done = act(pair)
            with self.lock:
                self.done += 1
                self._show()
            return done

        return acted

    def _show(self) -> None:
        if self.quiet:
            return
        elapsed_s = time.perf_counter() - self.start_s
        rate = f"{self.done / elapsed_s:5.2f}it/s" if self.done else "?it/s"
        left = f"{elapsed_s / self.done * (self.total - self.done):02.0f}" if self.done else "?"
        bar = "█" * (10 * self.done // self.total)
        percent = 100 * self.done // self.total
        text = f"\r{percent:3d}%|{bar:<10}| {self.done}/{self.total} [00:{elapsed_s:02.0f}<{left}, {rate}]"
        sys.stderr.write(text + ("\n" if self.done == self.total else ""))
        sys.stderr.flush()


def server_info(options: Options) -> dict[str, Any] | None:
    """The engine's /server_info, with its API key in it, as the real program stores it."""
    info: dict[str, Any] = read(options, "/server_info")
    return info
