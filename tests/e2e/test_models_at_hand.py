"""A model's files from a folder of this machine to a host, which is this machine too: the real rsync, and no hub."""

import subprocess
from pathlib import Path

import pytest

from devstral_fleet import weights
from tests.support.fleet import Site, succeeded
from tests.support.hub_model import CONTENT, NAMES, OTHER, is_whole, pin_of
from tests.support.hub_server import REPOSITORY, Hub

HUB = Hub(CONTENT)
NAME = f"devstral-small-2-{HUB.revision[:12]}"


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """The folder of models, as somebody carried it here: without the word that it is whole."""
    folder = tmp_path / "brought" / NAME
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_bytes(CONTENT[name])
    return folder


@pytest.fixture
def here(tmp_path: Path, brought: Path) -> Site:
    """A host that downloads nothing, with the pin of its model."""
    site = Site(tmp_path / "site", tmp_path / "home", 30000)
    site.set(accelerator="nvidia", hardware="h100", model="devstral-small-2", runtime="container", fetch=False)
    (site.directory / weights.FILE).write_text(weights.written({REPOSITORY: pin_of(HUB)}))
    return site.set(models=str(brought.parent))


def test_what_this_machine_has_whole_is_copied_and_compared(
    here: Site, brought: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # tells this test's rsync from others'
    refused = here.invoke("models")
    assert refused.exit_code == 2, refused.text
    assert f"fleet_models {brought.parent} has no {NAME}, or not all of it" in refused.text
    (brought / weights.MANIFEST).write_text("{}")
    assert f", from {brought.parent} of this machine" in succeeded(here.invoke("models", "--check")).text

    (brought / OTHER).write_bytes(b"x" * len(CONTENT[OTHER]))
    wrong = here.invoke("models")
    assert wrong.exit_code == 4, wrong.text
    assert f"{OTHER} came twice with another content" in wrong.text
    assert not (here.home / "models" / NAME).exists()

    (brought / OTHER).write_bytes(CONTENT[OTHER])
    assert f"copies its files from {brought.parent} of this machine" in succeeded(here.invoke("models")).text
    assert is_whole(here.home / "models" / NAME, HUB)
    assert "were there already" in succeeded(here.invoke("models")).text
    running = subprocess.run(("ps", "-eo", "args"), capture_output=True, text=True).stdout.splitlines()
    assert [line for line in running if "rsync" in line and str(tmp_path) in line] == []
