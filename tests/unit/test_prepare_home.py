"""The API key of a host: made once, kept, and never one that SGLang takes for an option."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from tests.support.tree import ROOT

FILE = ROOT / "playbooks" / "roles" / "host_layout" / "files" / "prepare_home.py"
ReadOrMake = Callable[[Path, bool], tuple[str, list[str]]]


@pytest.fixture(scope="module")
def read_or_make_key() -> ReadOrMake:
    return cast("ReadOrMake", runpy.run_path(str(FILE))["read_or_make_key"])


def test_a_new_key_is_64_hexadecimal_digits_and_is_kept(read_or_make_key: ReadOrMake, tmp_path: Path) -> None:
    path = tmp_path / "api.key"
    key, changes = read_or_make_key(path, False)
    assert re.fullmatch(r"[0-9a-f]{64}", key)
    assert changes == [f"made {path}"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_or_make_key(path, False) == (key, [])


def test_a_lost_key_is_the_one_the_engine_was_given(read_or_make_key: ReadOrMake, tmp_path: Path) -> None:
    (tmp_path / "engine.yml").write_text("api-key: abc-_def\n")
    assert read_or_make_key(tmp_path / "api.key", False)[0] == "abc-_def"


def test_a_key_that_begins_with_a_dash_never_served_and_is_made_anew(
    read_or_make_key: ReadOrMake, tmp_path: Path
) -> None:
    (tmp_path / "api.key").write_text("-abc\n")
    (tmp_path / "engine.yml").write_text("api-key: -abc\n")
    key, changes = read_or_make_key(tmp_path / "api.key", False)
    assert re.fullmatch(r"[0-9a-f]{64}", key)
    assert changes


def test_check_makes_nothing(read_or_make_key: ReadOrMake, tmp_path: Path) -> None:
    assert read_or_make_key(tmp_path / "api.key", True)[1]
    assert not list(tmp_path.iterdir())
