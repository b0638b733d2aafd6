"""The audit log on a host, for real on this machine."""

from pathlib import Path

from devstral_fleet import audit
from devstral_fleet.layout import HostLayout
from devstral_fleet.shell import LocalShell


def test_events_are_read_in_order(tmp_path: Path) -> None:
    layout, shell = HostLayout.of(str(tmp_path)), LocalShell()
    assert audit.read(shell, layout) == []
    (tmp_path / "audit.jsonl").write_text('{"event": "deploy"}\n{"event": "rollback", "reason": "ü"}\n')
    assert audit.read(shell, layout) == [{"event": "deploy"}, {"event": "rollback", "reason": "ü"}]


def test_what_is_no_event_is_shown_too() -> None:
    text = '[1]\n\n{"a": 1}\n{"event": "tw'
    assert audit.parse(text) == [{"unreadable": "[1]"}, {"a": 1}, {"unreadable": '{"event": "tw'}]


def test_a_look_at_the_recent_past_reads_its_lines_alone(tmp_path: Path) -> None:
    layout, shell = HostLayout.of(str(tmp_path)), LocalShell()
    assert audit.newest(shell, layout) == []
    (tmp_path / "audit.jsonl").write_text("".join(f'{{"event": {number}}}\n' for number in range(9)))
    assert audit.newest(shell, layout, lines=2) == [{"event": 7}, {"event": 8}]
