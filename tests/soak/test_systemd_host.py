"""A host over SSH whose process 1 is systemd: deploys, faults, reboots. The host is a container of its own.

What the product says is compared with what plain ssh sees of the host.
"""

import json
import subprocess
import urllib.request
from pathlib import Path

import pytest

from devstral_fleet.layout import HostLayout
from devstral_fleet.probes.service import unit_name
from tests.support.fleet import Ended, Site, succeeded, until
from tests.support.host_container import HostContainer
from tests.support.systemd_host import HOME, PORT, UNIT, events, healthy, jobs, link, pid, shown

pytestmark = pytest.mark.soak

BACK_S = 60.0
GUARD_S = 60.0


def pasted(line: str) -> str:
    """What a line prints that a person pastes into a terminal."""
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_check_on_an_untouched_host_changes_nothing(site: Site, host: HostContainer) -> None:
    elsewhere = Site(site.directory / "check", Path("/opt/elsewhere"), PORT + 1, site.keys, host.name, site.connection)

    previewed = succeeded(elsewhere.set().invoke("deploy", "--check"))

    assert "tasks would change something" in previewed.text
    assert host.root("sh", "-c", "ls -d /opt/elsewhere 2>/dev/null || true") == ""
    assert unit_name(HostLayout.of("/opt/elsewhere")) not in host.root("ls", "/etc/systemd/system")


def test_first_deploy_is_kept_by_systemd_for_good(host: HostContainer, first: Ended) -> None:
    assert "deployed and proven" in first.text
    assert (shown(host, "ActiveState"), shown(host, "UnitFileState")) == ("active", "enabled")
    assert healthy(host)
    assert link(host, "serving") == link(host, "current") != ""
    assert host.root("systemctl", "is-system-running") == "running"
    assert "supervisord" not in host.root("ps", "ax")


def test_the_engine_is_confined_and_its_key_is_nobodys(host: HostContainer, first: Ended) -> None:
    assert first.exit_code == 0
    key = host.root("cat", f"{HOME}/secrets/api.key")
    assert host.ssh("cat", f"{HOME}/secrets/api.key").returncode != 0
    assert key not in host.root("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    status = host.root("cat", f"/proc/{pid(host)}/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert f"HOME={HOME}" in host.root("cat", f"/proc/{pid(host)}/environ").split("\0")
    assert "Invoked with" not in host.root("journalctl", "--no-pager")


def test_second_deploy_changes_nothing(proven: Site, host: HostContainer) -> None:
    before = pid(host)

    again = succeeded(proven.invoke("deploy", "--no-bench"))

    assert "unchanged" in again.text
    assert pid(host) == before


def test_verbs_that_look(proven: Site, host: HostContainer) -> None:
    succeeded(proven.invoke("doctor"))
    succeeded(proven.invoke("verify"))
    row = succeeded(proven.invoke("status", "--json")).document[0]
    assert (row["state"], row["pid"], row["release"]) == ("serving", pid(host), link(host, "current"))
    assert succeeded(proven.invoke("logs", "--lines", "5")).stdout.count("\n") == 5
    audited = succeeded(proven.invoke("audit", "--json")).document[host.name]
    assert [entry["event"] for entry in audited] == events(host)[-20:]


def test_connect_carries_a_client_through_ssh(proven: Site) -> None:
    running = proven.start("connect", "--json")
    try:
        running.wait_for("connected until Ctrl-C")
        until(lambda: running.lines[-1:] == ["}\n"], BACK_S, "the document is whole")
        client = json.loads("".join(running.lines))
        key, header = pasted(client["key_command"]), pasted(f"cat {client['header_source']}")
        assert header == f"Authorization: Bearer {key}"
        asked = urllib.request.Request(f"{client['base_url']}/models", headers=dict([header.split(": ")]))
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert json.load(answer)["data"][0]["id"] == client["model"]
    finally:
        running.interrupt()
    assert running.end().exit_code == 130


def test_a_killed_engine_is_started_again(proven: Site, host: HostContainer) -> None:
    before = pid(host)
    host.root("kill", "-9", str(before))

    until(lambda: pid(host) not in (0, before) and healthy(host), BACK_S, "the engine serves again")

    succeeded(proven.invoke("verify"))


def test_a_broken_release_gives_way_to_the_proven_one(proven: Site, host: HostContainer) -> None:
    before = link(host, "current")
    proven.set(environment={"REPLAY_FAULT": "die_at_start"})

    ended = proven.invoke("deploy", "--no-bench")

    assert ended.exit_code == 5, ended.text
    assert "die_at_start" in ended.text
    assert link(host, "serving") == link(host, "current") == before
    assert proven.report()["hosts"][0]["outcome"] == "restored"
    assert healthy(host)


@pytest.mark.parametrize("way", ["reboot", "cut_power"])
def test_the_engine_comes_back_with_its_host(proven: Site, host: HostContainer, way: str) -> None:
    getattr(host, way)()

    until(lambda: healthy(host), BACK_S, "the engine serves after the boot")

    assert "unchanged" in succeeded(proven.invoke("deploy", "--no-bench")).text


@pytest.mark.parametrize("fault", ["", "die_at_start", "never_healthy"])
def test_a_killed_controller_leaves_a_host_that_goes_back_by_itself(
    proven: Site, host: HostContainer, fault: str
) -> None:
    before = link(host, "current")
    proven.set(environment={"FLEET_TEST_MARK": f"killed {fault}", "REPLAY_FAULT": fault})
    running = proven.start("deploy", "--no-bench")
    running.wait_for("gpu01  start")
    running.kill()
    running.end()
    assert link(host, "serving") != before

    until(lambda: link(host, "serving") == before and healthy(host), GUARD_S, "the guard brings the old one back")

    assert link(host, "current") == before
    assert events(host)[-1] == "guard"
    assert succeeded(proven.invoke("status", "--json")).document[0]["state"] == "serving"


def test_lost_connections_do_not_end_a_deploy(proven: Site, host: HostContainer) -> None:
    before = jobs(host)
    proven.change("lost connections")
    running = proven.start("deploy")
    running.wait_for("gpu01  bench")
    until(lambda: bool(jobs(host) - before), BACK_S, "the benchmark's job runs")
    host.drop_connections()

    succeeded(running.end())

    assert link(host, "serving") == link(host, "current")


def test_a_power_cut_in_a_deploy_leaves_a_host_that_converges(proven: Site, host: HostContainer) -> None:
    proven.set(environment={"FLEET_TEST_MARK": "power cut", "REPLAY_FAULT": "never_healthy"})
    running = proven.start("deploy", "--no-bench")
    running.wait_for("gpu01  start")
    host.cut_power()
    running.kill()
    running.end()

    assert "not proven" in succeeded(proven.invoke("status")).text
    proven.set(environment=None)
    succeeded(proven.invoke("deploy", "--no-bench"))

    assert link(host, "serving") == link(host, "current")
    assert healthy(host)


def test_the_log_is_rotated_under_a_running_engine(proven: Site, host: HostContainer) -> None:
    before = pid(host)
    said = host.root("cat", f"{HOME}/log/engine.log")
    host.root("logrotate", "--force", f"/etc/logrotate.d/{UNIT.removesuffix('.service')}")
    assert host.root("cat", f"{HOME}/log/engine.log.1") == said

    succeeded(proven.invoke("verify"))

    assert 0 < len(host.root("cat", f"{HOME}/log/engine.log")) < len(said)
    assert pid(host) == before


def test_the_real_engine_serves_confined_as_the_unit_confines_it(
    proven: Site, host: HostContainer, engine_home: Path
) -> None:
    real = Site(proven.directory / "real", HOME, PORT, {}, host.name, proven.connection).set()
    digest = succeeded(real.invoke("plan", "--json")).document[host.name]["engine_environment"]["digest"]
    here, there = engine_home / "environments" / digest, f"{HOME}/environments/{digest}"
    packages = next(here.glob("lib/python*/site-packages")).relative_to(here)
    assert packages.parts[1] in host.root("sh", "-c", "ls /usr/bin"), "this machine's Python is not the host's"
    host.root("python3", "-m", "venv", "--without-pip", there)
    host.put_tree(here, there, str(packages), ".complete")

    succeeded(real.invoke("deploy", "--no-bench"))

    assert shown(host, "ActiveState") == "active"
    assert "Read-only file system" not in host.root("cat", f"{HOME}/log/engine.log")


def test_rollback_then_stop_for_good(proven: Site, host: HostContainer) -> None:
    before = link(host, "current")
    proven.change("next")
    succeeded(proven.invoke("deploy", "--no-bench"))
    assert link(host, "previous") == before != link(host, "current")

    succeeded(proven.invoke("rollback"))
    assert link(host, "serving") == link(host, "current") == before
    assert healthy(host)

    succeeded(proven.invoke("stop"))
    assert (shown(host, "ActiveState"), shown(host, "UnitFileState")) == ("inactive", "disabled")
    host.reboot()
    assert not healthy(host)
    assert proven.invoke("status", "--json").document[0]["state"] == "stopped"
