"""The host over SSH that soak tests share, and the site that names it."""

import pytest

from tests.support.engine.wheel import requirements
from tests.support.fleet import Ended, Site, succeeded
from tests.support.host_container import HostContainer, HostLab
from tests.support.systemd_host import HOME, PORT, link

WHEELS = "/srv/wheels"


@pytest.fixture(scope="session")
def host(lab: HostLab) -> HostContainer:
    return lab.host("gpu01")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, host: HostContainer) -> Site:
    """A site with that host; the replay engine's wheels lie on it, and nothing of the project does."""
    folder = tmp_path_factory.mktemp("site")
    lock = requirements(folder / "wheels", find_links=WHEELS)
    host.put({f"{WHEELS}/{wheel.name}": wheel.read_bytes() for wheel in lock.parent.glob("*.whl")}, 0o644)
    here = Site(folder, HOME, PORT, host=host.name, connection=host.connection())
    return here.set(engine_requirements=str(lock))


@pytest.fixture(scope="session")
def first(site: Site) -> Ended:
    """The first deploy."""
    return succeeded(site.invoke("deploy"))


@pytest.fixture
def proven(site: Site, host: HostContainer, first: Ended) -> Site:
    """The site with its plain plan proven and serving; a test before may have left another."""
    assert first.exit_code == 0
    site.set(environment=None)
    succeeded(site.invoke("deploy", "--no-bench"))
    assert link(host, "serving") == link(host, "current") != ""
    return site
