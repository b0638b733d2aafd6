"""Fixtures that several layers share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import ROOT, Site, site


@pytest.fixture(scope="session")
def real_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose engine is the real SGLang on this CPU. Its home is kept between runs: installing takes a minute."""
    with site(tmp_path_factory.mktemp("real"), ROOT / ".cache" / "e2e" / "home") as here:
        yield here


@pytest.fixture(scope="session")
def engine_home(real_site: Site) -> Path:
    """A home in which a deploy has put the real engine's environment and the tiny model."""
    deployed = real_site.invoke("deploy")
    assert deployed.exit_code == 0, deployed.text
    return real_site.home
