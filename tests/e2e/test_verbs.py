"""rollback, stop and --check: what they change, and that a look changes nothing."""

import json
from pathlib import Path

import pytest

from tests.support.fleet import Site

KEPT = ("lock", "audit.jsonl", "releases", "serving", "current", "previous", "secrets", "environments", "models")


def picture(home: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything that a verb may change."""
    roots = [home / name for name in KEPT]
    paths = [
        path for root in roots if root.exists() for path in (root, *root.rglob("*")) if "__pycache__" not in str(path)
    ]
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in paths}


def two_releases(site: Site, mark: str) -> tuple[str, str]:
    """Deploy another plan; return the release before and the one that serves now."""
    before = site.link("current")
    site.change(mark)
    deployed = site.invoke("deploy", "--no-bench")
    assert deployed.exit_code == 0, deployed.text
    return before, site.link("current")


def test_check_shows_what_a_deploy_would_change_and_changes_nothing(proven: Site) -> None:
    before = picture(proven.home)
    proven.change("check")

    ended = proven.invoke("deploy", "--check")

    assert ended.exit_code == 0, ended.text
    assert "would change: release:" in ended.stdout
    assert proven.report()["hosts"][0]["outcome"] == "checked"
    assert picture(proven.home) == before


def test_check_of_an_unchanged_host_finds_nothing_to_change(proven: Site) -> None:
    ended = proven.invoke("deploy", "--check")

    assert ended.exit_code == 0, ended.text
    assert "0 tasks would change something" in ended.stdout


def test_an_unchanged_host_needs_no_playbook(proven: Site) -> None:
    ended = proven.invoke("deploy", "--no-bench")

    assert ended.exit_code == 0, ended.text
    assert "no playbook has to run" in ended.text
    assert proven.report()["hosts"][0]["outcome"] == "unchanged"
    assert proven.report()["hosts"][0]["startup"] is None
    assert not list(proven.runs.glob(f"{proven.report()['run']}/local-*.jsonl"))


@pytest.mark.parametrize(
    "path",
    [
        "releases/{current}/start",
        pytest.param("supervisor/supervisord.conf", marks=pytest.mark.soak),
        pytest.param("secrets/auth.header", marks=pytest.mark.soak),
    ],
)
def test_what_was_changed_on_the_host_is_mended(proven: Site, path: str) -> None:
    file = proven.home / path.format(current=proven.link("current"))
    was = file.read_text()
    file.write_text(was + "# changed by hand\n")

    ended = proven.invoke("deploy", "--no-bench")

    assert ended.exit_code == 0, ended.text
    assert file.read_text() == was
    assert "no playbook has to run" in proven.invoke("deploy", "--no-bench").text


def test_check_on_a_host_where_nothing_was_deployed_makes_nothing(proven: Site, tmp_path: Path) -> None:
    fresh = Site(tmp_path, tmp_path / "home", proven.port + 1, dict(proven.keys)).set()

    ended = fresh.invoke("deploy", "--check")

    assert ended.exit_code == 0, ended.text
    assert "would change: host_layout:" in ended.stdout
    assert not fresh.home.exists()


def test_rollback_serves_the_release_before_and_its_check_only_says_so(proven: Site) -> None:
    before, now = two_releases(proven, "rollback")
    shown = proven.invoke("rollback", "--check")
    assert shown.exit_code == 0, shown.text
    assert f"{before} would replace {now}" in shown.stdout
    assert proven.link("serving") == now

    back = proven.invoke("rollback")

    assert back.exit_code == 0, back.text
    assert proven.link("serving") == proven.link("current") == before
    assert proven.link("previous") == now


@pytest.mark.soak
def test_rollback_to_a_release_that_does_not_start_comes_back(proven: Site) -> None:
    before, now = two_releases(proven, "broken rollback")
    start = proven.home / "releases" / before / "start"
    whole = start.read_text()
    start.write_text("#!/bin/sh\nexit 1\n")

    ended = proven.invoke("rollback")
    start.write_text(whole)

    assert ended.exit_code == 5, ended.text
    assert proven.link("serving") == proven.link("current") == now
    assert proven.invoke("verify").exit_code == 0


def test_rollback_to_a_release_that_is_not_there_is_refused(proven: Site) -> None:
    serving = proven.link("serving")

    ended = proven.invoke("rollback", "--release", "20000101T000000Z-000000000000")

    assert ended.exit_code == 2, ended.text
    assert serving in ended.stderr
    assert proven.link("serving") == serving


def test_stop_and_deploy_again(proven: Site) -> None:
    shown = proven.invoke("stop", "--check")
    assert shown.exit_code == 0, shown.text
    assert proven.invoke("status", "--json").document[0]["state"] == "serving"

    assert proven.invoke("stop").exit_code == 0
    assert proven.invoke("status", "--json").document[0]["state"] == "stopped"
    assert proven.invoke("stop").exit_code == 0
    release = proven.link("current")
    again = proven.invoke("deploy", "--no-bench")

    assert again.exit_code == 0, again.text
    assert proven.link("serving") == proven.link("current") == release
    events = [entry["event"] for entry in proven.invoke("audit", "--json").document["local"]]
    assert events[-1] == "deploy"
    assert "stop" in events


def test_bench_says_how_far_it_is_and_keeps_no_details(proven: Site) -> None:
    ended = proven.invoke("bench", "--concurrency", "1,2,4", "--repeats", "1", "--objective", "1000:1000", "--json")

    assert ended.exit_code == 0, ended.text
    (host,) = ended.document["hosts"]
    assert [row["goodput"]["good_percent"] for row in host["bench"]] == [100.0] * 3
    assert {row["goodput"]["objective"]["ttft_ms"] for row in host["bench"]} == {1000.0}
    assert [finding["summary"] for finding in host["findings_after"] if finding["check"] == "bench-saturation"]
    assert host["baseline_command"] == ".venv/bin/invoke bench --host local --concurrency 1,2,4 --save-baseline"
    (started,) = (proof["startup"] for proof in host["proofs"] if proof["startup"])
    assert started["release"] == host["release"] == proven.link("serving")
    run = max(proven.runs.glob("*/report.json")).parent
    assert "generated_texts" not in (run / "report.json").read_text()
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    steps = [event["text"] for event in events if event["kind"] == "step"]
    assert any("(2 of 3): " in step and "about" in step and step.endswith("left") for step in steps), steps
    assert not list((proven.home / "jobs").iterdir())
