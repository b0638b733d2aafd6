"""deploy.yml on this machine: from nothing to a served release, and again without a change."""

import json
import os
import signal
import stat
from pathlib import Path

from tests.ansible.conftest import FIRST, SECOND, Host, arguments_of_all_processes
from tests.support.fleet import until


def test_check_on_a_fresh_host_tells_what_would_change_and_changes_nothing(bare: Host) -> None:
    outcome = bare.play("deploy.yml", check=True)
    outcome.raise_for_failure()
    assert not bare.home.exists()
    changed = {task.role for task in outcome.tasks if task.state == "changed"}
    assert changed == {"host_layout", "engine_environment", "model_files", "release", "service", "converged"}


def test_a_fresh_host_serves_and_a_second_deploy_changes_nothing(bare: Host) -> None:
    first = bare.deploy()
    assert first.changed
    bare.wait_until_healthy()
    engine = bare.pid("sglang.launch_server")
    second = bare.deploy()
    assert second.changed == 0
    assert bare.pid("sglang.launch_server") == engine
    assert bare.link("serving") == FIRST


def test_the_record_holds_every_path_that_the_playbook_made(bare: Host) -> None:
    before = set(bare.home.parent.rglob("*"))
    bare.deploy()
    recorded = json.loads((bare.home / "releases" / FIRST / "converged.json").read_text())["paths"]
    assert None not in recorded.values()
    trees = (
        "environments",
        "models",
        "log",
        "supervisor",
        "cache",
    )  # a marker vouches for each, or the engine writes there
    made = {
        path for path in bare.home.rglob("*") if path not in before and path.parts[len(bare.home.parts)] not in trees
    }
    unrecorded = {str(path.relative_to(bare.home)) for path in made if str(path) not in recorded}
    assert unrecorded == {f"releases/{FIRST}/converged.json"}


def test_the_key_is_made_once_and_shows_nowhere(host: Host) -> None:
    host.deploy()
    host.wait_until_healthy()
    key = (host.home / "secrets" / "api.key").read_text().strip()
    assert len(key) > 30
    assert (host.home / "secrets" / "engine.yml").read_text() == f"api-key: {key}\n"
    assert (host.home / "secrets" / "auth.header").read_text() == f"Authorization: Bearer {key}\n"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (host.home / "secrets").iterdir()}
    assert modes == {"api.key": 0o600, "engine.yml": 0o600, "auth.header": 0o600}
    assert stat.S_IMODE((host.home / "secrets").stat().st_mode) == 0o700
    assert key not in arguments_of_all_processes()
    logs = [path for path in (*host.scratch.rglob("*"), *host.home.rglob("log/*")) if path.is_file()]
    assert logs
    assert not [path for path in logs if key in path.read_text(errors="replace")]
    host.deploy()
    assert (host.home / "secrets" / "api.key").read_text().strip() == key


def test_a_key_that_was_lost_is_the_one_the_engine_knows(host: Host) -> None:
    host.deploy()
    secrets = host.home / "secrets"
    key = (secrets / "api.key").read_text()
    (secrets / "api.key").unlink()
    assert host.deploy().changed == 1
    assert (secrets / "api.key").read_text() == key


def test_an_engine_gets_a_key_that_was_made_anew(host: Host) -> None:
    host.deploy()
    host.wait_until_healthy()
    before = host.pid("sglang.launch_server")
    for file in (host.home / "secrets").iterdir():
        file.unlink()
    assert host.deploy().changed
    host.wait_until_healthy()
    assert host.pid("sglang.launch_server") != before
    assert host.deploy().changed == 0


def test_open_secrets_are_closed_again(host: Host) -> None:
    host.deploy()
    secrets = host.home / "secrets"
    secrets.chmod(0o755)
    (secrets / "api.key").chmod(0o644)
    assert host.deploy().changed == 1
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert stat.S_IMODE((secrets / "api.key").stat().st_mode) == 0o600


def test_a_new_release_replaces_the_serving_one(host: Host) -> None:
    host.deploy()
    host.wait_until_healthy()
    engine = host.pid("sglang.launch_server")
    host.deploy(SECOND, plan=host.plan(environment={"NEW": "it's"}))
    host.wait_until_healthy()
    assert host.link("serving") == SECOND
    assert host.pid("sglang.launch_server") != engine
    environment = Path(f"/proc/{host.pid('sglang.launch_server')}/environ").read_text()
    assert "NEW=it's\0" in environment


def test_a_crashed_engine_is_started_again(host: Host) -> None:
    host.deploy()
    host.wait_until_healthy()
    engine = host.pid("sglang.launch_server")
    os.kill(engine, signal.SIGKILL)
    until(lambda: not host.is_healthy() or host.pid("sglang.launch_server") != engine, 30, "the crash shows")
    host.wait_until_healthy()
    assert host.pid("sglang.launch_server") != engine


def test_an_engine_without_its_supervisor_is_replaced(host: Host) -> None:
    host.deploy()
    host.wait_until_healthy()
    engine = host.pid("sglang.launch_server")
    os.kill(host.pid("bin/supervisord"), signal.SIGKILL)
    assert engine in host.processes(), "the engine outlives its supervisor: that is the case to repair"
    host.deploy()
    host.wait_until_healthy()
    assert host.pid("sglang.launch_server") != engine


def test_a_link_that_was_switched_without_a_restart_is_noticed(host: Host) -> None:
    host.deploy()
    host.deploy(SECOND, plan=host.plan(environment={}))
    host.wait_until_healthy()
    engine = host.pid("sglang.launch_server")
    (host.home / "serving").unlink()
    (host.home / "serving").symlink_to(f"releases/{FIRST}")
    host.deploy()
    host.wait_until_healthy()
    assert host.pid("sglang.launch_server") != engine
    assert Path(f"/proc/{host.pid('sglang.launch_server')}/cwd").readlink().name == FIRST


def test_the_supervisor_gets_nothing_of_the_controllers_environment(host: Host) -> None:
    os.environ["FLEET_TEST_TOKEN"] = "not for the engine"
    try:
        host.deploy()
    finally:
        del os.environ["FLEET_TEST_TOKEN"]
    host.wait_until_healthy()
    for word in ("bin/supervisord", "sglang.launch_server"):
        assert "FLEET_TEST_TOKEN" not in Path(f"/proc/{host.pid(word)}/environ").read_text()
