"""The soak record: when it speaks for a tree, and when it does not."""

import subprocess
from pathlib import Path

import pytest

from tests.support.soak_record import RECORD, Row, SoakRecord, git, rows, staleness, text

FILE, OTHER = "tests/soak/test_roots.py", "tests/e2e/test_kills.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with a playbook, a document and a record of its first commit."""
    for name in ("playbooks/deploy.yml", "docs/evidence/readme.md"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("first\n")
    commit(tmp_path)
    row = Row(FILE, 3, "2026-11-23 12:00", git(tmp_path, "rev-parse", "HEAD"), "7")
    (tmp_path / RECORD).write_text(text({FILE: row}))
    return tmp_path


def commit(tree: Path) -> None:
    if not (tree / ".git").exists():
        subprocess.run(["git", "init", "-q", tree], check=True)
    git(tree, "add", "-A")
    git(tree, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "change")


def test_what_is_written_is_read_again(tree: Path) -> None:
    head = git(tree, "rev-parse", "HEAD")
    assert rows(tree) == {FILE: Row(FILE, 3, "2026-11-23 12:00", head, "7")}
    assert f"| {FILE} | 3 | 2026-11-23 12:00 | {head} | 7 |" in (tree / RECORD).read_text()


def test_a_record_speaks_for_its_commit_and_for_changes_elsewhere(tree: Path) -> None:
    assert staleness(tree, [FILE]) == []
    (tree / "docs/evidence/readme.md").write_text("second\n")
    commit(tree)
    assert staleness(tree, [FILE]) == []


def test_a_change_of_a_playbook_makes_it_old_even_before_the_commit(tree: Path) -> None:
    (tree / "playbooks/deploy.yml").write_text("second\n")
    [said] = staleness(tree, [FILE])
    assert f"{FILE} is older than changes" in said


def test_no_row_and_an_unknown_commit_are_said(tree: Path) -> None:
    (tree / RECORD).write_text(text({FILE: Row(FILE, 1, "2026-11-23 12:00", "0" * 40, "7")}))
    unrecorded, unknown = staleness(tree, [OTHER, FILE])
    assert f"{OTHER} are in no record" in unrecorded
    assert "does not know" in unknown


def test_only_a_file_whose_soak_tests_all_passed_is_green() -> None:
    record = SoakRecord()
    record.wanted.update({FILE: 2, OTHER: 2})
    for file, outcomes in ((FILE, ("passed", "passed")), (OTHER, ("passed", "failed"))):
        for outcome in outcomes:
            record.pytest_runtest_logreport(report(file, "call", outcome))
    assert dict(record.green()) == {FILE: 2}
    record.pytest_runtest_logreport(report(FILE, "teardown", "failed"))
    assert dict(record.green()) == {}


def report(file: str, when: str, outcome: str) -> pytest.TestReport:
    return pytest.TestReport(f"{file}::test", (file, 0, "test"), {}, outcome, None, when)  # type: ignore[arg-type]
