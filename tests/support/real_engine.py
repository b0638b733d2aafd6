"""Starting an engine for tests: the real SGLang, or the replay engine in its place, by the same words."""

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CPU_ARGUMENTS = (
    "--device",
    "cpu",
    "--attention-backend",
    "torch_native",
    "--max-total-tokens",
    "65536",
    "--max-running-requests",
    "32",
    "--tool-call-parser",
    "mistral",
    "--enable-metrics",
    "--sleep-on-idle",
)
CPU_ENVIRONMENT = {
    "SGLANG_USE_CPU_ENGINE": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}
STOP_DEADLINE_S = 30.0
POLL_S = 0.05
LOG_TAIL_LINES = 20


class EngineNotReadyError(Exception):
    """The engine died or stayed silent; the message ends with its last log lines."""


@dataclass(frozen=True)
class RunningEngine:
    """An engine that answers /health."""

    base_url: str
    api_key: str
    served_model_name: str
    context_length: int
    model: Path
    log: Path
    process: subprocess.Popen[bytes]
    start_s: float
    """Seconds from its start to the first 200 of /health."""

    @property
    def port(self) -> int:
        return int(self.base_url.rsplit(":", 1)[1])


@dataclass(frozen=True)
class EngineWish:
    """What to start. `python` is the engine environment's interpreter, `directory` gets secrets file and log."""

    python: Path
    model: Path
    directory: Path
    port: int
    served_model_name: str = "devstral-tiny"
    context_length: int = 32768
    arguments: Sequence[str] = CPU_ARGUMENTS
    environment: Mapping[str, str] | None = None
    api_key: str = "test-key-0123456789"

    def argv(self) -> list[str]:
        """The command line, the API key only by the name of its file."""
        named = {
            "--model-path": str(self.model),
            "--served-model-name": self.served_model_name,
            "--host": "127.0.0.1",
            "--port": str(self.port),
            "--context-length": str(self.context_length),
            "--config": str(self.directory / "engine.yml"),
        }
        words = [word for pair in named.items() for word in pair]
        return [str(self.python), "-m", "sglang.launch_server", *words, *self.arguments]


def start(wish: EngineWish) -> subprocess.Popen[bytes]:
    """Start the engine in a process group of its own, without waiting for it."""
    secrets = wish.directory / "engine.yml"
    secrets.touch(mode=0o600)
    secrets.write_text(f"api-key: {wish.api_key}\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(wish.directory), "LANG": "C.UTF-8"}
    environment |= CPU_ENVIRONMENT | dict(wish.environment or {})
    with (wish.directory / "engine.log").open("ab") as log:
        return subprocess.Popen(wish.argv(), env=environment, stdout=log, stderr=log, start_new_session=True)


@contextlib.contextmanager
def serve(wish: EngineWish, *, deadline_s: float = 180.0) -> Iterator[RunningEngine]:
    """Start the engine, wait for /health, and end it with everything it started.

    Raises EngineNotReadyError after `deadline_s`, or at once when the engine dies.
    """
    process = start(wish)
    try:
        start_s = wait_for_health(wish, process, deadline_s=deadline_s)
        yield RunningEngine(
            base_url=f"http://127.0.0.1:{wish.port}",
            api_key=wish.api_key,
            served_model_name=wish.served_model_name,
            context_length=wish.context_length,
            model=wish.model,
            log=wish.directory / "engine.log",
            process=process,
            start_s=start_s,
        )
    finally:
        stop(process)


def wait_for_health(
    wish: EngineWish,
    process: subprocess.Popen[bytes],
    *,
    deadline_s: float,
    wanted: int = 200,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Wait until /health answers `wanted`; return the seconds it took."""
    start_s = clock()
    status = 0
    while clock() < start_s + deadline_s:
        status = health_status(wish.port)
        if status == wanted:
            return clock() - start_s
        if process.poll() is not None:
            raise EngineNotReadyError(f"the engine ended with {process.returncode}\n{_tail(wish)}")
        sleep(POLL_S)
    raise EngineNotReadyError(f"/health is {status} after {deadline_s:g} s\n{_tail(wish)}")


def health_status(port: int) -> int:
    """HTTP status of /health, 0 without a connection."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def stop(process: subprocess.Popen[bytes]) -> int:
    """End the engine politely, then its whole process group for certain; return its exit status."""
    process.terminate()
    try:
        status = process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait(STOP_DEADLINE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return status


def _tail(wish: EngineWish) -> str:
    lines = (wish.directory / "engine.log").read_text(errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES:])
