"""What marking a release as proven changes on a host, for real on a home of the test's own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fleet import ROOT

CONFIRM = ROOT / "playbooks" / "roles" / "confirm" / "files" / "confirm.py"
KEEP = 5


class Home:
    """A home with releases 1 to `count`; `links` are serving, current and previous, '' for none."""

    def __init__(self, path: Path, count: int, links: tuple[str, str, str]) -> None:
        self.path = path
        plan = {"engine_environment": None, "files": {"directory": "tiny"}}
        for number in range(1, count + 1):
            (path / "releases" / str(number)).mkdir(parents=True)
            (path / "releases" / str(number) / "release.json").write_text(json.dumps({"plan": plan}))
        for name, release in zip(("serving", "current", "previous"), links):
            if release:
                (path / name).symlink_to(f"releases/{release}")

    def confirm(self, release: str, *options: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, str(CONFIRM), *options, str(self.path), release, str(KEEP)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    @property
    def links(self) -> tuple[str, ...]:
        paths = [self.path / name for name in ("serving", "current", "previous")]
        return tuple(path.readlink().name if path.is_symlink() else "" for path in paths)

    @property
    def releases(self) -> list[str]:
        return sorted(path.name for path in (self.path / "releases").iterdir())


@pytest.mark.parametrize(
    ("links", "after"),
    [
        (("2", "", ""), ("2", "2", "")),
        (("2", "1", ""), ("2", "2", "1")),
        (("2", "2", "1"), ("2", "2", "1")),
        (("2", "gone", "1"), ("2", "2", "1")),
    ],
    ids=["a first one", "a second one", "again", "the current one was deleted"],
)
def test_current_moves_and_previous_takes_over(
    tmp_path: Path, links: tuple[str, str, str], after: tuple[str, str, str]
) -> None:
    home = Home(tmp_path, 2, links)
    assert home.confirm("2").returncode == 0
    assert home.links == after
    assert home.confirm("2").stdout == ""


@pytest.mark.parametrize(
    ("count", "links", "gone"),
    [
        (5, ("5", "5", "4"), set()),
        (7, ("7", "7", "6"), {"1", "2"}),
        (7, ("1", "2", ""), set()),
        (8, ("2", "2", "1"), {"3"}),
    ],
    ids=["five", "seven", "the oldest serve", "all but the linked ones"],
)
def test_the_newest_stay_and_what_a_link_names(
    tmp_path: Path, count: int, links: tuple[str, str, str], gone: set[str]
) -> None:
    home = Home(tmp_path, count, links)
    before = set(home.releases)
    assert home.confirm(links[0]).returncode == 0
    assert before - set(home.releases) == gone


@pytest.mark.parametrize("serving", ["1", ""])
def test_what_does_not_serve_is_not_proven(tmp_path: Path, serving: str) -> None:
    home = Home(tmp_path, 2, (serving, "1", ""))
    refused = home.confirm("2")
    assert refused.returncode == 1
    assert "serves by now, not 2" in refused.stderr
    assert home.links == (serving, "1", "")


def test_check_changes_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path, 7, ("7", "6", ""))
    foreseen = home.confirm("7", "--check").stdout.splitlines()
    assert (home.links, len(home.releases)) == (("7", "6", ""), 7)
    assert home.confirm("7").stdout.splitlines() == foreseen
    assert len(foreseen) == 4
