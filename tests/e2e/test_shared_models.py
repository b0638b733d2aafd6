"""Two hosts whose folder of models is the same one, as on a site's shared file system."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstral_fleet import weights
from tests.support.fleet import succeeded
from tests.support.hub_client import with_hub_client
from tests.support.hub_model import CONTENT, LARGE_BYTES, NAMES, WEIGHTS, is_whole
from tests.support.hub_server import Hub, serving
from tests.support.several import SeveralHosts, several


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub(CONTENT)) as here:
        yield here


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The folder that the hosts share."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def fleet(tmp_path: Path, hub: Hub, store: Path) -> Iterator[SeveralHosts]:
    """Two hosts that share their models, and a hub whose revision is pinned."""
    keys = {"accelerator": "nvidia", "hardware": "h100", "model": "devstral-small-2", "hub": hub.endpoint}
    lock = with_hub_client(tmp_path / "wheels")
    with several(tmp_path / "site", 2, engine_requirements=str(lock), **keys) as here:
        for member in here.members:
            member.home.mkdir(parents=True)
            (member.home / "models").symlink_to(store)
        succeeded(here.invoke("models", "--pin"))
        yield here


def test_two_hosts_fetch_each_file_once_and_neither_prunes(fleet: SeveralHosts, hub: Hub, store: Path) -> None:
    both = [fleet.start("models", "--host", member.host) for member in fleet.members]
    for ended in [each.end(300.0) for each in both]:
        assert ended.exit_code == 0, ended.text
    folder = store / f"devstral-small-2-{hub.revision[:12]}"
    assert is_whole(folder, hub)
    assert hub.sent[WEIGHTS] == LARGE_BYTES
    assert {path.name for path in folder.iterdir()} == {*NAMES, weights.MANIFEST}
    assert succeeded(fleet.invoke("models", "--verify")).text.count("all 4 files are what the hub said") == 2

    shutil.copytree(folder, store / "devstral-small-2-aaaaaaaaaaaa")
    refused = fleet.invoke("models", "--prune")
    assert refused.exit_code != 0, refused.text
    assert "models is a link: other hosts may use what this one does not" in refused.text
    assert (store / "devstral-small-2-aaaaaaaaaaaa").is_dir()
