"""The engine's life: arguments, start, ready, drain, and the ways in which the real one dies."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sglang.replay.endpoint import EngineServer
from sglang.replay.engine import Engine, model_context
from sglang.replay.faults import faults, milliseconds
from sglang.replay.flags import merged, parser
from sglang.replay.journal import Journal

DEFAULT_START_MS = 200.0
DRAIN_POLL_S = 0.02


def main(argv: list[str]) -> None:
    """Serve until SIGTERM, then drain and exit 0."""
    words = merged(argv)
    given = vars(parser("server", "sglang serve").parse_args(words))
    engine = make_engine(given, words)
    engine.journal.before_listening()
    die_of_arguments(engine)
    signal.signal(signal.SIGTERM, lambda *_: engine.stopping.set())
    server = listen(engine)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    threading.Thread(target=become_ready, args=(engine,), daemon=True).start()
    engine.stopping.wait()
    drain(engine, server)


def make_engine(given: dict[str, Any], words: list[str]) -> Engine:
    values = {
        "model_path": str(given.get("model_path", "")),
        "port": str(given.get("port", 30000)),
        "api_key": str(given.get("api_key", "")),
        "environment": sys.prefix,
        "directory": str(Path.cwd()),
        "path": sys.prefix,
        "launch_command": " ".join(words),
    }
    return Engine(given=given, values=values, journal=Journal(values))


def die_of_arguments(engine: Engine) -> None:
    """End as the real engine does when it cannot use what it was given."""
    path = engine.given.get("model_path", "")
    if not (Path(path) / "config.json").is_file():
        engine.journal.say(f"OSError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '{path}'.")
        sys.exit(1)
    if "die_at_start" in faults():
        sys.exit(engine.journal.fatal("argument", "die_at_start"))
    if engine.context_length > model_context(path):
        sys.exit(engine.journal.fatal("argument"))
    if "die_at_start_late" in faults():
        time.sleep(milliseconds("REPLAY_START_MS", DEFAULT_START_MS) / 1000)
        engine.journal.fatal("weights", "die_at_start_late")
        os.kill(os.getpid(), signal.SIGKILL)


def listen(engine: Engine) -> EngineServer:
    """Bind the port. Like the real engine, say so when it is taken, and then hang instead of dying."""
    address = (str(engine.given.get("host", "127.0.0.1")), int(engine.given.get("port", 30000)))
    try:
        return EngineServer(address, engine)
    except OSError as error:
        reason = f"[Errno {error.errno}] error while attempting to bind on address {address}: {error.strerror}"
        engine.journal.say(f"ERROR:    {reason}")
        engine.journal.say("INFO:     Waiting for application shutdown.")
        engine.stopping.wait()
        sys.exit(1)


def become_ready(engine: Engine) -> None:
    """Warm up for a moment, then be healthy; a fault makes it longer, or for ever."""
    broken = faults()
    if "never_healthy" in broken:
        return
    seconds = broken.get("slow_health", milliseconds("REPLAY_START_MS", DEFAULT_START_MS) / 1000)
    if engine.stopping.wait(seconds):
        return
    engine.status = "up"
    engine.journal.after_listening()


def drain(engine: Engine, server: EngineServer) -> None:
    """Finish what runs, take nothing new for healthy, say goodbye."""
    engine.status = "stopping"
    while engine.running:
        time.sleep(DRAIN_POLL_S)
    server.shutdown()
    engine.journal.end()
