"""Fixtures that several layers share."""

from collections.abc import Iterator
from pathlib import Path
from random import SystemRandom

import pytest

from tests.support.fleet import ROOT, Site, site

SHARED_THINGS = {"real_site": "real-engine"}
"""Fixtures that only one process may have at a time, and the group of the tests that use one."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --kill-seed: the seed of the random kills, so that a red run can be repeated."""
    parser.addoption("--kill-seed", type=int, default=0, help="seed of the random kills (default: drawn anew)")


def pytest_configure(config: pytest.Config) -> None:
    """Draw the seed once; every process of a run gets the same."""
    config.option.kill_seed = config.option.kill_seed or SystemRandom().randrange(1, 1_000_000)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say the seed, however the run ended."""
    terminalreporter.write_line(f"random kills: --kill-seed {config.option.kill_seed}")


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares a costly thing: tests of one file, and all tests of the one real engine."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        group = next((group for name, group in SHARED_THINGS.items() if name in names), item.nodeid.partition("::")[0])
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def kill_seed(pytestconfig: pytest.Config) -> int:
    """The seed of the random kills."""
    return int(pytestconfig.option.kill_seed)


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
