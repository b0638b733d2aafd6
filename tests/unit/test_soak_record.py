"""The soak record: when it speaks for a tree, and when it does not."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.soak_record import RECORD, git, staleness, written

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with a playbook, a document and a record of its first commit."""
    for name in ("playbooks/deploy.yml", "docs/evidence/readme.md"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("first\n")
    commit(tmp_path)
    (tmp_path / RECORD).write_text(written(tmp_path, {"passed": 3, "failed": 0}, "7", NOW))
    return tmp_path


def commit(tree: Path) -> None:
    if not (tree / ".git").exists():
        subprocess.run(["git", "init", "-q", tree], check=True)
    git(tree, "add", "-A")
    git(tree, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "change")


def test_a_record_holds_date_commit_counts_and_seed(tree: Path) -> None:
    text = (tree / RECORD).read_text()
    assert "- date: 2026-11-23 12:00 UTC" in text
    assert f"- commit: {git(tree, 'rev-parse', 'HEAD')}\n" in text
    assert "- outcome: 3 passed\n" in text
    assert "- seed: 7\n" in text


def test_a_record_speaks_for_its_commit_and_for_changes_elsewhere(tree: Path) -> None:
    assert staleness(tree) == ""
    (tree / "docs/evidence/readme.md").write_text("second\n")
    commit(tree)
    assert staleness(tree) == ""


def test_a_change_of_a_playbook_makes_it_old_even_before_the_commit(tree: Path) -> None:
    (tree / "playbooks/deploy.yml").write_text("second\n")
    assert "is older than changes" in staleness(tree)


def test_no_record_and_an_unknown_commit_are_said(tree: Path) -> None:
    (tree / RECORD).write_text(f"- commit: {'0' * 40}\n")
    assert "does not know" in staleness(tree)
    (tree / RECORD).unlink()
    assert "there is no soak record" in staleness(tree)
