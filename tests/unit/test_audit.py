"""The audit log on a host, for real on this machine."""

import json
from pathlib import Path

import pytest

from devstral_fleet import audit
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.layout import HostLayout
from devstral_fleet.shell import LocalShell


def test_events_are_appended_and_read_in_order(tmp_path: Path) -> None:
    layout, shell = HostLayout.of(str(tmp_path)), LocalShell()
    assert audit.read(shell, layout) == []
    audit.append(shell, layout, {"event": "deploy", "release": "1", "time": "2026-11-23T16:00:00Z"})
    audit.append(shell, layout, {"event": "rollback", "note": "two\nlines and 'quotes' and ü"})
    first, second = audit.read(shell, layout)
    assert first == {"event": "deploy", "release": "1", "time": "2026-11-23T16:00:00Z"}
    assert second["note"] == "two\nlines and 'quotes' and ü"
    assert str(second["time"]).endswith("Z")
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_secret_is_not_written(tmp_path: Path) -> None:
    layout = HostLayout.of(str(tmp_path))
    audit.append(LocalShell(), layout, {"event": "deploy", "api_key": "geheim-1", "words": "Bearer abcdefghij"})
    text = (tmp_path / "audit.jsonl").read_text()
    assert "geheim-1" not in text
    assert "abcdefghij" not in text


def test_a_line_cut_short_by_a_power_loss_is_shown_and_harms_no_other(tmp_path: Path) -> None:
    layout = HostLayout.of(str(tmp_path))
    (tmp_path / "audit.jsonl").write_text('{"event": "one"}\n{"event": "tw')
    audit.append(LocalShell(), layout, {"event": "three", "time": "t"})
    assert audit.read(LocalShell(), layout) == [
        {"event": "one"},
        {"unreadable": '{"event": "tw'},
        {"time": "t", "event": "three"},
    ]


def test_what_is_no_event_is_shown_too() -> None:
    assert audit.parse('[1]\n\n{"a": 1}\n') == [{"unreadable": "[1]"}, {"a": 1}]


def test_a_home_that_cannot_be_written_is_an_error_with_its_fix(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the directory should be")
    with pytest.raises(ConfigurationError, match=r"cannot write .*audit\.jsonl") as caught:
        audit.append(LocalShell("gpu01"), HostLayout.of(f"{tmp_path}/home"), {"event": "x"})
    assert caught.value.host == "gpu01"
    assert caught.value.fix


def test_one_event_is_one_json_line(tmp_path: Path) -> None:
    layout = HostLayout.of(str(tmp_path))
    for number in range(3):
        audit.append(LocalShell(), layout, {"event": number})
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == [0, 1, 2]
