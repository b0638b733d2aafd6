"""The replay engine's wheels: built the same each time, free of this machine."""

import re
from pathlib import Path

from tests.support.engine.wheel import RECORDED, build_wheel, build_wheels, versions


def test_wheels_are_the_same_byte_for_byte(tmp_path: Path) -> None:
    first, second = build_wheels(tmp_path / "a"), build_wheels(tmp_path / "b")
    assert {name: wheel.read_bytes() for name, wheel in first.items()} == {
        name: wheel.read_bytes() for name, wheel in second.items()
    }


def test_the_engines_own_wheel_carries_the_recorded_version(tmp_path: Path) -> None:
    assert build_wheel(tmp_path).name == f"sglang-{versions()['sglang']}-py3-none-any.whl"


def test_the_record_holds_no_path_of_the_machine_that_made_it() -> None:
    for file in RECORDED.glob("*.json"):
        assert not re.search(r"/(root|home|work|tmp|opt)/", file.read_text()), file.name
