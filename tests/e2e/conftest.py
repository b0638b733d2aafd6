"""Sites over the replay engine, which starts in a second; engines under contract, the real one among them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstral_fleet.layout import HostLayout
from tests.support.engine.model import write_model
from tests.support.engine.wheel import requirements, unpack
from tests.support.fleet import Site, site
from tests.support.host_container import HostContainer, HostLab
from tests.support.ports import free_port
from tests.support.real_engine import EngineWish, RunningEngine, serve
from tests.support.replay_image import replay_image
from tests.support.systemd_host import HOME, PORT

REPLAY_START_MS = "50"


@pytest.fixture(scope="session")
def replay_requirements(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Locked requirements that install the replay engine."""
    return requirements(tmp_path_factory.mktemp("replay-wheels"))


@pytest.fixture(scope="session")
def replay_site(tmp_path_factory: pytest.TempPathFactory, replay_requirements: Path) -> Iterator[Site]:
    """A site on which one release is proven and serves; the tests of a process share it, in any order."""
    with site(tmp_path_factory.mktemp("site"), engine_requirements=str(replay_requirements)) as here:
        deployed = here.invoke("deploy")
        assert deployed.exit_code == 0, deployed.text
        yield here


@pytest.fixture(scope="module")
def container_host(lab: HostLab) -> HostContainer:
    """A host over SSH with systemd and a Docker engine of its own."""
    return lab.host("gpu01")


@pytest.fixture(scope="module")
def container_site(tmp_path_factory: pytest.TempPathFactory, lab: HostLab, container_host: HostContainer) -> Site:
    """A site with that host, where the replay engine runs in a container."""
    folder, connection = tmp_path_factory.mktemp("site"), container_host.connection()
    here = Site(folder, HOME, PORT, host=container_host.name, connection=connection)
    return here.set(runtime="container", image=replay_image(lab.client))


@pytest.fixture
def proven(replay_site: Site) -> Site:
    """The shared site with its plain plan proven and serving; it is deployed again only where a test left another."""
    replay_site.set(environment=None, health_deadline_s=None)
    planned = replay_site.invoke("plan", "--json").document["local"]
    if replay_site.serving_plan() != planned or replay_site.link("serving") != replay_site.link("current"):
        deployed = replay_site.invoke("deploy", "--no-bench")
        assert deployed.exit_code == 0, deployed.text
    return replay_site


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


@pytest.fixture(scope="module")
def real_engine(
    engine_home: Path, real_environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningEngine]:
    """The real SGLang, serving the model that the product made."""
    (complete,) = sorted((engine_home / "models").glob("*/.complete"))
    python, directory = real_environment / "bin" / "python", tmp_path_factory.mktemp("real-engine")
    wish = EngineWish(python=python, model=complete.parent, directory=directory, port=free_port())
    with serve(wish, deadline_s=300.0) as engine:
        yield engine


@pytest.fixture
def layout(tmp_path: Path) -> HostLayout:
    """A home of this machine that is not there yet."""
    return HostLayout.of(f"{tmp_path}/home")
