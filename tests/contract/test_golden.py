"""The golden files and docs/catalog.md are what the catalog makes today."""

from pathlib import Path

import pytest

from tests.golden.update import FOLDERS, HERE, every_file

WANTED = every_file()
FIX = "after a wanted change: .venv/bin/python -m tests.golden.update, then read git diff"


@pytest.mark.parametrize("path", WANTED, ids=lambda path: str(path.name))
def test_golden_file(path: Path) -> None:
    assert path.read_text() == WANTED[path], FIX


def test_no_golden_file_is_left_over() -> None:
    there = {path for folder in FOLDERS for path in (HERE / folder).iterdir()}
    assert there <= WANTED.keys(), FIX
