"""confirm.yml, rollback.yml, stop.yml."""

import json

import pytest

from devstral_fleet.errors import PlaybookError
from tests.ansible.conftest import FIRST, SECOND, Host


def test_a_proven_release_becomes_current_and_the_one_before_previous(host: Host) -> None:
    host.deploy()
    host.play("confirm.yml", audit={"event": "deploy", "release": FIRST}).raise_for_failure()
    assert (host.link("current"), host.link("previous")) == (FIRST, "")
    host.deploy(SECOND, plan=host.plan(environment={}))
    assert host.link("current") == FIRST, "only what was proven is current"
    host.play("confirm.yml", SECOND).raise_for_failure()
    assert (host.link("current"), host.link("previous")) == (SECOND, FIRST)
    again = host.play("confirm.yml", SECOND)
    assert again.changed == 0
    entries = [json.loads(line) for line in (host.home / "audit.jsonl").read_text().splitlines()]
    assert entries == [{"event": "deploy", "release": FIRST}]


def test_old_releases_go_and_those_in_use_stay(host: Host) -> None:
    host.deploy()
    host.play("confirm.yml").raise_for_failure()
    releases = host.home / "releases"
    manifest = (releases / FIRST / "release.json").read_text()
    middle = [f"2026020{day}T000000Z-cccccccccccc" for day in range(1, 8)]
    for name in middle:
        (releases / name).mkdir()
        (releases / name / "release.json").write_text(manifest)
    (releases / "20260301T000000Z-half").mkdir()
    (host.home / "models" / "unused").mkdir()
    (host.home / "models" / "unused" / ".complete").touch()
    (host.home / "models" / "put-there-by-hand").mkdir()
    checked = host.play("confirm.yml", check=True)
    assert checked.changed
    assert (releases / "20260301T000000Z-half").exists()
    host.play("confirm.yml").raise_for_failure()
    assert sorted(path.name for path in releases.iterdir()) == [FIRST, *middle[-5:]]
    assert sorted(path.name for path in (host.home / "models").iterdir()) == ["devstral-tiny-1", "put-there-by-hand"]
    assert list(host.home.glob("environments/*/.complete"))


def test_a_rollback_serves_the_release_before(host: Host) -> None:
    host.deploy()
    host.deploy(SECOND, plan=host.plan(environment={}))
    host.wait_until_healthy()
    engine = host.pid("sglang.launch_server")
    host.play("rollback.yml", FIRST, audit={"event": "rollback"}).raise_for_failure()
    host.wait_until_healthy()
    assert host.link("serving") == FIRST
    assert host.pid("sglang.launch_server") != engine
    assert json.loads((host.home / "audit.jsonl").read_text()) == {"event": "rollback"}


def test_a_rollback_to_a_release_that_is_gone_changes_nothing(host: Host) -> None:
    host.deploy()
    host.wait_until_healthy()
    with pytest.raises(PlaybookError, match=f"release {SECOND} is not on this host"):
        host.play("rollback.yml", SECOND).raise_for_failure()
    assert host.link("serving") == FIRST
    assert host.is_healthy()


def test_stop_ends_every_process_and_a_deploy_starts_them_again(host: Host) -> None:
    host.deploy()
    host.wait_until_healthy()
    assert host.play("stop.yml", check=True).changed == 1
    assert host.is_healthy()
    host.play("stop.yml", audit={"event": "stop"}).raise_for_failure()
    assert host.processes() == {}
    assert host.play("stop.yml").changed == 0
    host.deploy()
    host.wait_until_healthy()


def test_stop_on_a_host_that_never_served_changes_nothing(bare: Host) -> None:
    outcome = bare.play("stop.yml", "none")
    outcome.raise_for_failure()
    assert outcome.changed == 0
    assert not bare.home.exists()
