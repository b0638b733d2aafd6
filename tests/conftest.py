"""Fixtures that several layers share."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.support.fleet import ROOT, Site, site, succeeded
from tests.support.host_container import HostLab, host_lab

ONE_ENGINE = tuple(
    f"tests/e2e/test_{name}.py"
    for name in (
        *("real_engine", "tensor_parallel", "engine_contract", "tool_parser", "accuracy", "weightless_files"),
        "mixed_prefill",
    )
)
"""Files whose tests share the home of the one real engine: the same process runs them."""
ONE_LAB = tuple(
    f"tests/e2e/test_{name}.py"
    for name in (
        *("container", "host_faults", "lab", "simulated", "build", "build_site", "build_hosts", "provision"),
        *("provision_gpu", "peers", "container_models"),
    )
)
"""Files whose tests share a lab, and the Docker engine that is started for it where none runs."""
FIRST_DEPLOY_S = 900.0
"""The first deploy of a checkout installs the engine, while others may have the cores: 100 s alone, 480 s at load 5."""
SLOWEST_FIRST = ("e2e", "ansible", "lint", "contract", "unit", "soak")

OWN_BASETEMP = pytest.StashKey[str]()
REAL_SITE = pytest.StashKey[Site]()


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Several processes share the tests, a file at a time: its tests share what is costly to make."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((group[0] for group in (ONE_ENGINE, ONE_LAB) if file in group), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Share out the tests by file."""
    return ByFile(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --kill-seed: the seed of the random kills, so that a red run can be repeated."""
    parser.addoption("--kill-seed", type=int, default=0, help="seed of the random kills (default: drawn anew)")


def pytest_configure(config: pytest.Config) -> None:
    """Draw the seed once; every process of a run gets the same. Keep temporary paths short, and hear Ctrl-C.

    supervisord's socket lies in those paths, and a socket's path has 107 characters at most. A shell has SIGINT ignored
    by what it runs in the background, nohup SIGHUP, and the controllers that tests interrupt would inherit that.
    """
    settings.register_profile("fleet", deadline=None)  # how long an example takes is others' load, not its outcome
    settings.load_profile("fleet")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    config.option.kill_seed = config.option.kill_seed or SystemRandom().randrange(1, 1_000_000)
    if config.getoption("numprocesses", None) and not config.option.basetemp:
        config.option.basetemp = config.stash[OWN_BASETEMP] = tempfile.mkdtemp(prefix="t")


@pytest.hookimpl(trylast=True)  # after the processes that share the tests have ended
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the temporary files of a green run; those of a red one stay to be looked at."""
    if session.exitstatus == pytest.ExitCode.OK and (own := session.config.stash.get(OWN_BASETEMP, None)):
        shutil.rmtree(own)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say the seed, however the run ended."""
    terminalreporter.write_line(f"random kills: --kill-seed {config.option.kill_seed}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, the one real engine first, then the lab: no process waits for them at the end."""

    def rank(item: pytest.Item) -> tuple[bool, bool, int]:
        file = item.nodeid.partition("::")[0]
        return file not in ONE_ENGINE, file not in ONE_LAB, SLOWEST_FIRST.index(Path(file).parts[1])

    items.sort(key=rank)
    astray = {
        file
        for item in items
        for fixture, files in (("lab", ONE_LAB), ("real_site", ONE_ENGINE))
        if fixture in getattr(item, "fixturenames", ()) and (file := item.nodeid.partition("::")[0]) not in files
        if file.startswith("tests/e2e/")
    }
    if astray:
        raise pytest.UsageError(f"{', '.join(sorted(astray))} must stand in ONE_LAB or ONE_ENGINE of tests/conftest.py")


@pytest.fixture(scope="session")
def kill_seed(pytestconfig: pytest.Config) -> int:
    """The seed of the random kills."""
    return int(pytestconfig.option.kill_seed)


@pytest.fixture(scope="session")
def real_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose engine is the real SGLang on this CPU. Its home is kept between runs: installing takes a minute."""
    with site(tmp_path_factory.mktemp("real"), ROOT / ".cache" / "e2e" / "home") as here:
        request.session.stash[REAL_SITE] = here
        yield here


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the one real engine after the last test that needs it: idle, it takes a tenth of a core from the others."""
    if nextitem and nextitem.nodeid.partition("::")[0] not in ONE_ENGINE and REAL_SITE in item.session.stash:
        succeeded(item.session.stash[REAL_SITE].invoke("stop"))
        del item.session.stash[REAL_SITE]


@pytest.fixture(scope="session")
def engine_home(real_site: Site) -> Path:
    """A home in which a deploy has put the real engine's environment and the tiny model."""
    deployed = real_site.start("deploy").end(FIRST_DEPLOY_S)
    assert deployed.exit_code == 0, deployed.text
    return real_site.home


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostLab]:
    """A lab of this run's own: `lab.hosts(2)` gives two hosts with systemd, sshd and a Docker engine each."""
    with host_lab(tmp_path_factory.mktemp("lab")) as here:
        yield here
