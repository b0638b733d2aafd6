"""Sites over the replay engine: the product's whole way, with an engine that starts in a second."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine.wheel import requirements
from tests.support.fleet import Site, site


@pytest.fixture(scope="session")
def replay_requirements(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Locked requirements that install the replay engine."""
    return requirements(tmp_path_factory.mktemp("replay-wheels"))


@pytest.fixture(scope="module")
def replay_site(tmp_path_factory: pytest.TempPathFactory, replay_requirements: Path) -> Iterator[Site]:
    """A site on which one release is proven and serves; the tests of a module share it."""
    with site(tmp_path_factory.mktemp("site"), engine_requirements=str(replay_requirements)) as here:
        deployed = here.invoke("deploy")
        assert deployed.exit_code == 0, deployed.text
        yield here


@pytest.fixture
def proven(replay_site: Site) -> Site:
    """The shared site with its plain plan proven and serving; it is deployed again only where a test left another."""
    replay_site.set(environment=None, health_deadline_s=None)
    planned = replay_site.invoke("plan", "--json").document["local"]
    if replay_site.serving_plan() != planned or replay_site.link("serving") != replay_site.link("current"):
        deployed = replay_site.invoke("deploy", "--no-bench")
        assert deployed.exit_code == 0, deployed.text
    return replay_site
