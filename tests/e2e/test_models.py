"""A model's files from a hub to this machine as a host, by the hub's real client; the hub is a server on loopback."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstral_fleet import weights
from tests.support.fleet import Site, succeeded, until
from tests.support.hub_client import with_hub_client
from tests.support.hub_model import (
    CONTENT,
    LARGE_BYTES,
    NAMES,
    OTHER,
    WEIGHTS,
    end_of,
    fetch,
    fetching,
    is_whole,
    pin_of,
)
from tests.support.hub_server import REPOSITORY, Fault, Hub, serving

TOKEN = "hf_" + "abcdefghijklmnopqrstuvwx"
A_TRICKLE = LARGE_BYTES // 600


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub(CONTENT)) as here:
        yield here


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site of one GPU host, which is this machine, with an engine's environment that has the hub's client."""
    folder = tmp_path_factory.mktemp("models")
    here = Site(folder / "site", folder / "home", 30000)
    lock = with_hub_client(folder / "wheels")
    return here.set(accelerator="nvidia", hardware="h100", model="devstral-small-2", engine_requirements=str(lock))


@pytest.fixture
def here(shared: Site, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site with this test's hub, whose revision is pinned; no model is there."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    for left in shared.home.glob("models/*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    shared.set(hub=hub.endpoint, fetch=None)
    (shared.directory / weights.FILE).write_text(weights.written({REPOSITORY: pin_of(hub)}))
    return shared


@pytest.fixture(scope="module")
def python(shared: Site) -> Path:
    """The engine's own on that host, with the hub's client."""
    with serving(Hub({"config.json": b"{}"}, revision="f" * 40)) as hub:
        shared.set(hub=hub.endpoint)
        succeeded(shared.invoke("models", "--pin"))
        succeeded(shared.invoke("models"))
    (complete,) = shared.home.glob("environments/*/.complete")
    return complete.parent / "bin" / "python"


def folder_of(here: Site, hub: Hub) -> Path:
    return here.home / "models" / f"devstral-small-2-{hub.revision[:12]}"


def test_a_pin_is_what_the_hub_says_and_only_what_is_served(here: Site, hub: Hub) -> None:
    expected = pin_of(hub)
    (here.directory / weights.FILE).unlink()
    assert "new" in succeeded(here.invoke("models", "--pin")).text
    assert weights.read((here.directory / weights.FILE).read_text(), "") == {REPOSITORY: expected}
    assert "as before" in succeeded(here.invoke("models", "--pin")).text
    planned = here.invoke("plan", "--json").document["local"]["files"]
    assert (planned["revision"], len(planned["digest"])) == (hub.revision, 64)
    assert planned["directory"] == folder_of(here, hub).name


def test_it_comes_whole_once_and_is_read_again(here: Site, hub: Hub) -> None:
    previewed = succeeded(here.invoke("models", "--check"))
    assert "would bring 4 files, 0.0 GB, from http://127.0.0.1" in previewed.text
    assert hub.asked == []

    assert "its files are there, each checked" in succeeded(here.invoke("models")).text
    folder = folder_of(here, hub)
    assert is_whole(folder, hub)
    assert {path.name for path in folder.iterdir()} == {*NAMES, weights.MANIFEST}
    assert sum(hub.sent.values()) == sum(len(hub.files[name]) for name in NAMES)

    hub.asked.clear()
    assert "were there already" in succeeded(here.invoke("models")).text
    assert hub.asked == []
    assert "all 4 files are what the hub said" in succeeded(here.invoke("models", "--verify")).text

    with (folder / WEIGHTS).open("r+b") as file:
        file.seek(LARGE_BYTES // 2)
        file.write(b"another")
    changed = here.invoke("models", "--verify")
    assert changed.exit_code == 5, changed.text
    assert f"{WEIGHTS} in " in changed.text


def test_a_download_goes_on_without_its_controller_and_is_joined(here: Site, hub: Hub) -> None:
    hub.bytes_a_second = A_TRICKLE
    begun = here.start("models")
    until(lambda: WEIGHTS in hub.sending, 90, "the weights come")
    begun.kill()
    joined = here.start("models")
    joined.wait_for("on their way already")
    hub.bytes_a_second = 0
    succeeded(joined.end())

    assert is_whole(folder_of(here, hub), hub)
    gets = [path for method, path, _ in hub.asked if method == "GET"]
    assert len(gets) == len(set(gets)) == len(NAMES), "each file was fetched once"


def test_the_token_of_a_gated_repository_is_nowhere_but_on_the_way_to_it(
    here: Site, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = TOKEN
    refused = here.invoke("models")
    assert refused.exit_code == 4, refused.text
    assert "is gated" in refused.text
    assert "fix: accept its licence there, and set HF_TOKEN" in refused.text

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.bytes_a_second = A_TRICKLE
    running = here.start("models")
    until(lambda: WEIGHTS in hub.sending, 90, "the weights come")
    argvs = [entry.read_bytes() for entry in Path("/proc").glob("[0-9]*/cmdline") if os.access(entry, os.R_OK)]
    assert not [argv for argv in argvs if TOKEN.encode() in argv]
    hub.bytes_a_second = 0
    succeeded(running.end())
    assert is_whole(folder_of(here, hub), hub)
    files = [path for root in (here.runs, here.home) for path in root.rglob("*") if path.is_file()]
    small = [path for path in files if path.stat().st_size < LARGE_BYTES // 8 and "environments" not in path.parts]
    assert here.runs / max(here.runs.iterdir()).name / "report.json" in small
    assert not [path for path in small if TOKEN.encode() in path.read_bytes()]


def test_nothing_is_downloaded_where_the_inventory_says_never(here: Site, hub: Hub) -> None:
    here.set(fetch=False)
    assert "and nothing downloads them: fleet_fetch is false" in succeeded(here.invoke("models", "--check")).text
    refused = here.invoke("models")
    assert refused.exit_code == 4, refused.text
    assert "is not there, and fleet_fetch is false" in refused.text
    folder = folder_of(here, hub)
    assert f"fix: put its files, revision {hub.revision} of {REPOSITORY}, into that folder" in refused.text
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(hub.files[name])
    succeeded(here.invoke("models"))
    assert (folder / weights.MANIFEST).is_file()
    assert hub.asked == []


def test_what_nobody_uses_is_removed(here: Site, hub: Hub) -> None:
    old = here.home / "models" / "devstral-small-2-aaaaaaaaaaaa"
    old.mkdir(parents=True)
    (old / WEIGHTS).write_bytes(bytes(1000))
    kept = folder_of(here, hub)
    kept.mkdir()
    assert f"would remove {old.name}" in succeeded(here.invoke("models", "--prune", "--check")).text
    assert old.is_dir()
    assert f"removed {old.name}" in succeeded(here.invoke("models", "--prune")).text
    assert (old.exists(), kept.is_dir()) == (False, True)


@pytest.mark.parametrize(
    ("faults", "resumed"),
    [(["cut"], True), (["cut", "no-ranges"], True), (["wrong"], False), (["busy"], False), (["unavailable"], False)],
    ids=["cut", "cut, then ranges ignored", "wrong", "busy", "unavailable"],
)
def test_what_passes_is_waited_out(python: Path, hub: Hub, tmp_path: Path, faults: list[Fault], resumed: bool) -> None:
    hub.faults[WEIGHTS] = faults
    assert end_of(fetch(python, hub, tmp_path / "model")) == {"end": "complete"}
    assert is_whole(tmp_path / "model", hub)
    assert hub.faults[WEIGHTS] == []
    assert any(asked_range for _, _, asked_range in hub.asked) == resumed


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (["wrong", "wrong"], f"{OTHER} came twice with another content"),
        (["unavailable"] * 3, "does not give it: Server error '503"),
        (["lost"], "does not give it: 404"),
    ],
    ids=["wrong", "unavailable", "lost"],
)
def test_what_stays_wrong_leaves_nothing_that_looks_whole(
    python: Path, hub: Hub, tmp_path: Path, faults: list[Fault], said: str
) -> None:
    hub.faults[OTHER] = faults
    refused = fetch(python, hub, tmp_path / "model")
    assert refused.returncode == 1
    assert said in end_of(refused)["error"]
    assert not (tmp_path / "model").exists()

    hub.sent.clear()
    assert end_of(fetch(python, hub, tmp_path / "model")) == {"end": "complete"}
    assert is_whole(tmp_path / "model", hub)
    assert hub.sent[WEIGHTS] == 0, "what had come right is not fetched again"


def test_a_hub_that_is_away_is_named(python: Path, hub: Hub, tmp_path: Path) -> None:
    refused = fetch(python, hub, tmp_path / "model", endpoint="http://127.0.0.1:9", attempts=1)
    assert "at http://127.0.0.1:9 does not give it" in end_of(refused)["error"]


def test_a_file_system_without_room_is_seen_before_and_on_the_way(python: Path, hub: Hub, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=28m", "tmpfs", str(disk)], check=True)
    try:
        early = fetch(python, hub, disk / "model")
        assert "are to come and 0.0 must stay free" in end_of(early)["error"]
        assert hub.sent[WEIGHTS] == 0
        late = fetch(python, hub, disk / "model", reserve_bytes=-10_000_000)
        assert end_of(late) == {
            "error": f"no space is left in {disk}/model.partial",
            "fix": "make room there; what came is kept",
        }
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert end_of(fetch(python, hub, disk / "model")) == {"end": "complete"}
        assert is_whole(disk / "model", hub)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_two_at_once_fetch_each_file_once(python: Path, hub: Hub, tmp_path: Path) -> None:
    hub.bytes_a_second = LARGE_BYTES // 2
    argv = fetching(python, hub, tmp_path / "model")
    both = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    ends = sorted(json.loads(each.communicate(timeout=120)[0].splitlines()[-1])["end"] for each in both)
    assert ends == ["complete", "there"]
    assert is_whole(tmp_path / "model", hub)
    assert hub.sent[WEIGHTS] == LARGE_BYTES


def test_one_that_was_killed_goes_on_where_it_was(python: Path, hub: Hub, tmp_path: Path) -> None:
    hub.bytes_a_second = LARGE_BYTES // 4
    argv = fetching(python, hub, tmp_path / "model")
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as killed:
        came = tmp_path / "model.partial" / WEIGHTS
        until(lambda: came.is_file() and came.stat().st_size > LARGE_BYTES // 8, 60, "some of it is there")
        killed.send_signal(signal.SIGKILL)
    kept = came.stat().st_size
    hub.bytes_a_second = 0
    hub.asked.clear()
    assert end_of(fetch(python, hub, tmp_path / "model")) == {"end": "complete"}
    assert is_whole(tmp_path / "model", hub)
    assert [ranges for _, path, ranges in hub.asked if path.endswith(WEIGHTS)] == [f"bytes={kept}-"]


def test_a_folder_that_somebody_filled_is_looked_at_and_never_removed(python: Path, hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(hub.files[name])
    (folder / OTHER).unlink()
    assert f"is there and is not complete: {OTHER}" in end_of(fetch(python, hub, folder))["error"]
    assert (folder / WEIGHTS).is_file()
    (folder / OTHER).write_bytes(hub.files[OTHER])
    assert end_of(fetch(python, hub, folder)) == {"end": "complete"}
    assert hub.asked == []


@pytest.mark.soak
def test_hundreds_of_megabytes_come_whole_through_cuts_a_kill_and_wrong_bytes(python: Path, tmp_path: Path) -> None:
    files = {**CONTENT, WEIGHTS: os.urandom(400_000_000), OTHER: os.urandom(200_000_000)}
    with serving(Hub(files, bytes_a_second=100_000_000)) as hub:
        hub.faults |= {WEIGHTS: ["cut", "busy", "cut"], OTHER: ["wrong", "unavailable"]}
        with subprocess.Popen(fetching(python, hub, tmp_path / "model"), stdout=subprocess.DEVNULL) as killed:
            came = tmp_path / "model.partial" / WEIGHTS
            until(lambda: came.is_file() and came.stat().st_size > 100_000_000, 60, "a quarter of it is there")
            killed.send_signal(signal.SIGKILL)
        assert end_of(fetch(python, hub, tmp_path / "model")) == {"end": "complete"}
        assert is_whole(tmp_path / "model", hub)
        assert hub.faults == {WEIGHTS: [], OTHER: []}
        assert hub.sent[WEIGHTS] < 1.1 * len(files[WEIGHTS]), "no cut costs more than what was on its way"
        assert hub.sent[OTHER] == 2 * len(files[OTHER])
