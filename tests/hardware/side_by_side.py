"""Our deploy beside the bare command, on one machine in one go: start to ready, speed at each concurrency.

    python3 side_by_side.py SITE OUT [--levels 1:10,16:80,100:500,64:320:8] [--bare ARGUMENT ...] [--budget-s 1500]

SITE is an installation of a bundle whose host `local` is this machine, on the native runtime. OUT gets results.json,
written anew after every step, so that a run that is broken off keeps what it has. Only Python's own library is used:
the machine may have nothing else. What a step needs is known before it begins; one that no longer fits is left out.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

PORT = 31555
"""Of the engine on GPU 0; the one on GPU 1 has the next."""
READY_S = 300
INTERVAL_S = 0.5
LEVELS = "1:10,16:80,100:500"
BARE = "--tool-call-parser mistral --load-format dummy"
"""The cookbook's command, but for the weights, which are random here."""
CHAT = ("--random-input-len", "1000", "--random-output-len", "1000", "--random-range-ratio", "0.0", "--seed", "1")
LONG = ("--random-input-len", "32768", "--random-output-len", "16", "--random-range-ratio", "1.0", "--seed", "2")
"""Prompts that come one after the other while chats are answered, from LONG_AFTER_S on."""
LONG_AFTER_S = 15


class Run:
    """The steps' results so far, and how much time is left."""

    def __init__(self, out, budget_s):
        self.out, self.budget_s, self.begun = out, budget_s, time.monotonic()
        self.results, self.writing = {}, threading.Lock()

    def step(self, name, needs_s, work):
        """Do a step and keep what it returns; say so where there is no time for it, or it failed."""
        left = self.budget_s - (time.monotonic() - self.begun)
        if left < needs_s:
            self.keep(name, {"left_out": f"it takes {needs_s} s, {left:.0f} s are left"})
            return
        start = time.monotonic()
        try:
            found = work()
        except Exception as error:
            found = {"failed": f"{type(error).__name__}: {error}"}
        self.keep(name, {**found, "seconds": round(time.monotonic() - start, 1)})

    def keep(self, name, found):
        with self.writing:
            self.results[name] = found
            (self.out / "results.json").write_text(json.dumps(self.results, indent=1))
        print(name, json.dumps(found)[:300], flush=True)


def at_once(work, items):
    """Do the same work for each item, all at the same time, and wait for all."""
    with concurrent.futures.ThreadPoolExecutor(len(items)) as pool:
        list(pool.map(work, items))


def invoke(site, out, name, *words):
    """Run a verb with --json; keep what it printed."""
    done = subprocess.run([".venv/bin/invoke", *words, "--json"], cwd=site, capture_output=True, text=True)
    (out / f"{name}.json").write_text(done.stdout)
    (out / f"{name}.log").write_text(done.stderr)
    hosts = json.loads(done.stdout).get("hosts") or [{}]
    return {"exit_code": done.returncode, "outcome": hosts[0].get("outcome"), "verdict": hosts[0].get("verdict")}


class Bare:
    """The cookbook's command as it stands. What it compiles goes to `home`: an empty one has nothing from before."""

    def __init__(self, python, model, arguments, home, log, gpu=0):
        self.python, self.model, self.port = python, model, PORT + gpu
        words = [python, "-m", "sglang.launch_server", "--model-path", model, "--port", str(self.port), *arguments]
        environment = {
            **os.environ,
            "HOME": home,
            "TRITON_CACHE_DIR": f"{home}/triton",
            "XDG_CACHE_HOME": f"{home}/cache",
            "FLASHINFER_WORKSPACE_BASE": home,
            "TORCHINDUCTOR_CACHE_DIR": f"{home}/inductor",
            "CUDA_VISIBLE_DEVICES": str(gpu),
        }
        self.begun = time.monotonic()
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                words, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )

    def ready_s(self):
        """Wait until it answers its health check; return the seconds since it was started."""
        while time.monotonic() - self.begun < READY_S:
            if self.is_healthy():
                return round(time.monotonic() - self.begun, 1)
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise RuntimeError(f"it ended with {self.process.wait(INTERVAL_S)}")
        raise RuntimeError(f"not ready in {READY_S} s")

    def is_healthy(self):
        """Ask its health check once."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=30) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def end(self):
        """End all of its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)


@contextlib.contextmanager
def home_of(homes, gpu):
    """Give a GPU's home below `homes`, with what was compiled there before; without `homes` an empty one."""
    if homes:
        place = homes.absolute() / f"gpu{gpu}"
        place.mkdir(parents=True, exist_ok=True)
        yield str(place)
        return
    with tempfile.TemporaryDirectory(prefix=f"gpu{gpu}-", ignore_cleanup_errors=True) as place:
        yield place


def measured(server, level, prompts, out, name, long=0):
    """Run the benchmark at one level, with `long` long prompts beside it; return its line's main numbers."""
    chats = Benchmark(server, level, prompts, out, name, CHAT, "--warmup-requests", str(level))
    if not long:
        return chats.numbers()
    with contextlib.suppress(subprocess.TimeoutExpired):
        chats.process.wait(LONG_AFTER_S)
    found = Benchmark(server, 1, long, out, f"{name}-long", LONG, "--warmup-requests", "0").numbers()
    is_within = chats.process.poll() is None
    return {**chats.numbers(), "long": {**found, "is_within": is_within}}


class Benchmark:
    """SGLang's benchmark against a server; what it says of each request is not kept."""

    KEYS = (
        "output_throughput",
        "median_ttft_ms",
        "p99_ttft_ms",
        "median_tpot_ms",
        "p99_itl_ms",
        "duration",
        "completed",
    )

    def __init__(self, server, level, prompts, out, name, lengths, *more):
        self.result = out / f"{name}.jsonl"
        words = [server.python, "-m", "sglang.bench_serving", "--backend", "sglang", "--host", "127.0.0.1"]
        words += ["--port", str(server.port), "--model", server.model, "--tokenizer", server.model]
        words += ["--dataset-name", "random-ids", *lengths, "--request-rate", "inf", "--num-prompts", str(prompts)]
        words += ["--max-concurrency", str(level), *more, "--output-file", str(self.result)]
        self.log = out / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def numbers(self):
        """Wait for its end; return its line's main numbers."""
        if ended := self.process.wait(600):
            raise RuntimeError(f"the benchmark ended with {ended}")
        line = json.loads(self.result.read_text().splitlines()[-1])
        line.pop("server_info", None)
        (longest,) = re.findall(r"^Max ITL \(ms\): +([0-9.]+)", self.log.read_text(), re.MULTILINE)
        line["max_itl_ms"] = float(longest)  # it is printed only
        self.result.write_text(json.dumps(line) + "\n")
        return {key: line[key] for key in (*self.KEYS, "max_itl_ms")}


def bare(run, name, engine, arguments, levels, needs_s, home, gpu=0):
    """Start, measure each level, end. `engine`: its Python and its model; `home` may be kept for the next one."""

    def work():
        server = Bare(*engine, arguments, home, run.out / f"{name}-server.log", gpu)
        try:
            found = {"arguments": arguments, "gpu": gpu, "ready_s": server.ready_s(), "levels": {}}
            for level, prompts, *long in levels:
                point = f"{level}-long" if long else str(level)
                found["levels"][point] = measured(server, level, prompts, run.out, f"{name}-{point}", *long)
            return found
        finally:
            server.end()

    run.step(name, needs_s, work)


def engine_of(deployed):
    """Return the Python and the model's folder of what `deploy --json` wrote."""
    plan = json.loads(deployed.read_text())["hosts"][0]["plan"]
    python = f"{plan['home']}/environments/{plan['engine_environment']['digest']}/bin/python"
    return python, f"{plan['home']}/models/{plan['files']['directory']}"


def main():
    """Deploy, measure, verify; then the same engine by the bare command; then our deploy again."""
    parser = argparse.ArgumentParser()
    parser.add_argument("site", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--workload", default="chat")
    parser.add_argument("--levels", default=LEVELS)
    parser.add_argument("--bare", default=BARE)
    parser.add_argument("--budget-s", type=float, default=1500)
    parser.add_argument("--config-s", type=float, default=380, help="what one configuration takes")
    options = parser.parse_args()
    site, out = options.site.absolute(), options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    run = Run(out, options.budget_s)
    host = ("--host", "local")
    run.step("deploy", 0, lambda: invoke(site, out, "deploy", "deploy", *host))
    words = ("--workload", options.workload, "--repeats", "1")
    run.step("bench", 0, lambda: invoke(site, out, "bench", "bench", *host, *words))
    run.step("tools", 60, lambda: invoke(site, out, "tools", "verify", *host, "--tools"))
    run.step("stop", 0, lambda: invoke(site, out, "stop", "stop", *host))
    engine = engine_of(out / "deploy.json")
    with home_of(None, 0) as home:
        bare(run, "bare", engine, options.bare.split(), pairs(options.levels), options.config_s, home)
    run.step("deploy again", 150, lambda: invoke(site, out, "deploy-again", "deploy", *host, "--no-bench"))
    run.step("stop again", 0, lambda: invoke(site, out, "stop-again", "stop", *host))


def pairs(text):
    """Read '1:10,64:320:8': (concurrency, prompts) and, where they have some beside them, long prompts."""
    return [tuple(map(int, word.split(":"))) for word in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
