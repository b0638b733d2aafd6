"""Engines under contract: the replay engine for every check, the real SGLang for the same ones."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine.model import write_model
from tests.support.engine.wheel import unpack
from tests.support.real_engine import EngineWish, RunningEngine, free_port, serve

REPLAY_START_MS = "50"


@pytest.fixture(scope="session")
def replay_wish(tmp_path_factory: pytest.TempPathFactory) -> EngineWish:
    """How to start a replay engine with this Python; REPLAY_FAULT_FILE names `fault` in its directory."""
    directory = tmp_path_factory.mktemp("replay")
    environment = {
        "PYTHONPATH": str(unpack(directory)),
        "REPLAY_FAULT_FILE": str(directory / "fault"),
        "REPLAY_START_MS": REPLAY_START_MS,
    }
    model = write_model(directory / "devstral-tiny", context_length=32768)
    python = Path(sys.executable)
    return EngineWish(python=python, model=model, directory=directory, port=free_port(), environment=environment)


@pytest.fixture(scope="session")
def replay_engine(replay_wish: EngineWish) -> Iterator[RunningEngine]:
    with serve(replay_wish, deadline_s=20.0) as engine:
        yield engine


@pytest.fixture(scope="session")
def real_environment(engine_home: Path) -> Path:
    """The real engine's environment in a home that the product itself has filled."""
    (complete,) = sorted((engine_home / "environments").glob("*/.complete"))
    return complete.parent


@pytest.fixture(scope="session")
def real_engine(
    engine_home: Path, real_environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningEngine]:
    """The real SGLang, serving the model that the product made."""
    (complete,) = sorted((engine_home / "models").glob("*/.complete"))
    python, directory = real_environment / "bin" / "python", tmp_path_factory.mktemp("real-engine")
    wish = EngineWish(python=python, model=complete.parent, directory=directory, port=free_port())
    with serve(wish, deadline_s=300.0) as engine:
        yield engine
