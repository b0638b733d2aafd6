"""Pytest plug-in of `make soak`: keeps docs/evidence/soak.md; `make test` asks it whether that is out of date.

The record has a row for each file with soak tests. A run renews the rows of those files whose soak tests it ran all of,
and all green; of every other file the row stays as it was.
"""

import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
RECORD = Path("docs/evidence/soak.md")
JUDGED = ("playbooks", "devstral_fleet/workflows", "devstral_fleet/lock")
"""What a soak run says something about: where a change can lose a host."""
AGAIN = "`make soak` makes it again"
HEAD = """# Soak record

Kept by `make soak`: for each file the last run in which all of its soak tests passed.

| file | passed | date (UTC) | commit | seed |
|---|---|---|---|---|
"""


class Row(NamedTuple):
    """The last green run of one file's soak tests."""

    file: str
    passed: int
    date: str
    commit: str
    seed: str


def git(root: Path, *words: str) -> str:
    """Return what git prints; raise CalledProcessError where it fails. Works in another user's checkout."""
    argv = ["git", "-c", f"safe.directory={root}", "-C", str(root), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def rows(root: Path) -> dict[str, Row]:
    """Return the record's rows by file; {} where there is no record."""
    path = root / RECORD
    lines = path.read_text().splitlines() if path.is_file() else []
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| tests/"))
    return {file: Row(file, int(passed), *rest) for file, passed, *rest in cells}


def soak_files(root: Path) -> list[str]:
    """Return the files that have soak tests."""
    paths = (path for layer in ("e2e", "soak") for path in (root / "tests" / layer).glob("test_*.py"))
    return [str(path.relative_to(root)) for path in paths if "pytest.mark.soak" in path.read_text()]


def staleness(root: Path, files: Iterable[str]) -> list[str]:
    """Return why the record does not speak for this tree's `files`, one sentence each; [] where it does."""
    known = rows(root)
    return [said for file in sorted(set(files)) if (said := _stale(root, file, known.get(file)))]


def _stale(root: Path, file: str, row: Row | None) -> str:
    if row is None:
        return f"the soak tests of {file} are in no record; {AGAIN}"
    try:
        changed = git(root, "diff", "--name-only", row.commit, "--", *JUDGED)
    except subprocess.CalledProcessError:
        return f"the soak record of {file} names commit {row.commit[:12]}, which this checkout does not know; {AGAIN}"
    return f"the soak record of {file} is older than changes in {', '.join(JUDGED)}; {AGAIN}" if changed else ""


def text(found: Mapping[str, Row]) -> str:
    """Return the record's text."""
    return HEAD + "".join(f"| {' | '.join(map(str, row))} |\n" for _, row in sorted(found.items()))


class SoakRecord:
    """Counts what each file's soak tests came to."""

    def __init__(self) -> None:
        self.wanted: Counter[str] = Counter()
        self.passed: Counter[str] = Counter()

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Count the soak tests that there are, before -k or a node id leaves some out."""
        if item.get_closest_marker("soak"):
            self.wanted[item.nodeid.partition("::")[0]] += 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count those that passed; one whose teardown fails did not."""
        file = report.nodeid.partition("::")[0]
        self.passed[file] += (report.when == "call" and report.passed) - (report.when == "teardown" and report.failed)

    def green(self) -> Iterator[tuple[str, int]]:
        """Yield each file whose soak tests all passed, and how many they are."""
        yield from ((file, count) for file, count in self.wanted.items() if self.passed[file] == count)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Renew the rows of the files that are green; say of the others that theirs stay."""
        commit, date = git(ROOT, "rev-parse", "HEAD"), f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
        if git(ROOT, "status", "--porcelain", "--untracked-files=no", "--", f":!{RECORD}"):
            terminalreporter.write_line("no soak record written: there are uncommitted changes", red=True)
            return
        green = {file: Row(file, count, date, commit, str(config.option.kill_seed)) for file, count in self.green()}
        path = ROOT / RECORD
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text({**rows(ROOT), **green}))
        for file in sorted(self.wanted):
            terminalreporter.write_line(f"soak record: {file} {'is renewed' if file in green else 'stays as it was'}")


def pytest_configure(config: pytest.Config) -> None:
    """Register the plug-in."""
    config.pluginmanager.register(SoakRecord(), "soak-record")
