"""The run directory: whole files that only their owner reads."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from devstral_fleet.errors import ConfigurationError
from devstral_fleet.rundir import KEPT_RUNS, RunDirectory

NOW = datetime(2026, 11, 23, 18, 0, 5, tzinfo=UTC)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_named_by_time_and_verb(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "runs", "deploy", now=NOW)
    assert run.path.parent == tmp_path / "runs"
    assert run.id.startswith("20261123T180005Z-deploy-")
    assert run.id == run.path.name


def test_two_runs_of_one_second_are_two(tmp_path: Path) -> None:
    assert len({RunDirectory.create(tmp_path, "deploy", now=NOW).id for _ in range(5)}) == 5


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "deploy")
    file = run.write_text("inventory/deploy/host_vars/gpu01.json", "{}")
    assert file == run.path / "inventory/deploy/host_vars/gpu01.json"
    assert (mode(run.path), mode(file)) == (0o700, 0o600)


def test_a_file_appears_whole_and_is_replaced(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "deploy")
    run.write_text("a.json", "long text")
    file = run.write_text("a.json", "new")
    assert file.read_text() == "new"
    assert list(run.path.iterdir()) == [file]


def test_the_newest_runs_stay(tmp_path: Path) -> None:
    old = [tmp_path / f"20250101T0000{number:02}Z-deploy-00000{number % 10}" for number in range(KEPT_RUNS + 3)]
    for path in old:
        (path / "inventory").mkdir(parents=True)
    new = RunDirectory.create(tmp_path, "stop", now=NOW)
    assert sorted(tmp_path.iterdir()) == [*old[4:], new.path]


def test_what_is_no_run_is_never_removed(tmp_path: Path) -> None:
    others = [tmp_path / f"{number:03}-photos" for number in range(KEPT_RUNS + 3)]
    for path in others:
        path.mkdir()
    RunDirectory.create(tmp_path, "deploy")
    assert all(path.is_dir() for path in others)


def test_a_root_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError) as caught:
        RunDirectory.create(tmp_path / "file", "deploy")
    assert "FLEET_RUNS" in caught.value.fix
