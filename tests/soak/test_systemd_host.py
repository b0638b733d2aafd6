"""A host over SSH whose process 1 is systemd: deploys, faults, reboots, host keys. The host is a container of its own.

What the product says is compared with what plain ssh sees of the host.
"""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstral_fleet.layout import HostLayout
from devstral_fleet.probes.service import unit_name
from tests.support.docker_engine import docker_engine
from tests.support.engine.wheel import requirements
from tests.support.fleet import Ended, Site, until
from tests.support.host_container import CACHE, HostContainer, host_container

pytestmark = pytest.mark.soak

HOME = Path("/opt/devstral-fleet")
PORT = 30000
UNIT = unit_name(HostLayout.of(str(HOME)))
WHEELS = "/srv/wheels"
BACK_S = 60.0
GUARD_S = 60.0


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostContainer]:
    with docker_engine(CACHE) as client, host_container(client, tmp_path_factory.mktemp("host") / "gpu01") as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, host: HostContainer) -> Site:
    """A site with that host; the replay engine's wheels lie on it, and nothing of the project does."""
    folder = tmp_path_factory.mktemp("site")
    lock = requirements(folder / "wheels", find_links=WHEELS)
    host.put({f"{WHEELS}/{wheel.name}": wheel.read_bytes() for wheel in lock.parent.glob("*.whl")}, 0o644)
    here = Site(folder, HOME, PORT, host=host.name, connection=host.connection())
    return here.set(engine_requirements=str(lock))


@pytest.fixture(scope="module")
def first(site: Site) -> Ended:
    """The first deploy."""
    return succeeded(site.invoke("deploy"))


@pytest.fixture
def proven(site: Site, host: HostContainer, first: Ended) -> Site:
    """The site with its plain plan proven and serving; a test before may have left another."""
    assert first.exit_code == 0
    site.set(environment=None)
    succeeded(site.invoke("deploy", "--no-bench"))
    assert link(host, "serving") == link(host, "current") != ""
    return site


def succeeded(ended: Ended) -> Ended:
    assert ended.exit_code == 0, ended.text
    return ended


def link(host: HostContainer, name: str) -> str:
    """Release that a link of the home names; '' for no link."""
    return Path(host.root("sh", "-c", f"readlink {HOME}/{name} || true")).name


def shown(host: HostContainer, name: str) -> str:
    """One property of the unit, as an ordinary user asks systemd for it."""
    return host.ssh("systemctl", "show", "--value", f"--property={name}", UNIT).stdout.strip()


def pid(host: HostContainer) -> int:
    return int(shown(host, "MainPID"))


def healthy(host: HostContainer) -> bool:
    """Whether the engine answers on the host's own loopback."""
    ask = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{PORT}/health', timeout=2)"
    return host.ssh(f'python3 -c "{ask}"').returncode == 0


def pasted(line: str) -> str:
    """What a line prints that a person pastes into a terminal."""
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def events(host: HostContainer) -> list[str]:
    """Events of the host's audit log, oldest first."""
    return [json.loads(line)["event"] for line in host.root("cat", f"{HOME}/audit.jsonl").splitlines()]


def jobs(host: HostContainer) -> set[str]:
    """Jobs of the host that were started: their process is written down."""
    return set(host.root("find", f"{HOME}/jobs", "-name", "pid").split())


def test_check_on_an_untouched_host_changes_nothing(site: Site, host: HostContainer) -> None:
    elsewhere = Site(site.directory / "check", Path("/opt/elsewhere"), PORT + 1, site.keys, host.name, site.connection)

    previewed = succeeded(elsewhere.set().invoke("deploy", "--check"))

    assert "tasks would change something" in previewed.text
    assert host.root("sh", "-c", "ls -d /opt/elsewhere 2>/dev/null || true") == ""
    assert unit_name(HostLayout.of("/opt/elsewhere")) not in host.root("ls", "/etc/systemd/system")


def test_first_deploy_is_kept_by_systemd_for_good(site: Site, host: HostContainer, first: Ended) -> None:
    assert "deployed and proven" in first.text
    assert site.report()["hosts"][0]["outcome"] == "deployed"
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
    proven.set(environment={"FLEET_TEST_MARK": "lost connections"})
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
    proven.set(environment={"FLEET_TEST_MARK": "next"})
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


def test_an_unknown_host_key_is_refused_until_it_is_accepted(proven: Site, host: HostContainer, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    stranger = Site(tmp_path, HOME, PORT, proven.keys, host.name, host.connection(known_hosts)).set()

    refused = stranger.invoke("deploy", "--no-bench")
    assert refused.exit_code == 3, refused.text
    assert "is not known" in refused.text
    assert not known_hosts.exists()

    scan = ["ssh-keyscan", "-p", str(host.port), host.address]
    known_hosts.write_text(subprocess.run(scan, check=True, capture_output=True, text=True).stdout)
    succeeded(stranger.invoke("deploy", "--no-bench"))


def test_init_accepts_a_key_only_when_told_to(
    host: HostContainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    known_hosts = tmp_path / ".ssh" / "known_hosts"
    words = ["init", f"--host={host.name}", f"--address={host.address}", f"--port={host.port}", "--accelerator=cpu"]
    here = Site(tmp_path / "site", HOME, PORT, host="another").set()

    asked = succeeded(here.invoke(*words))
    assert "the key is not accepted yet" in asked.text
    assert not known_hosts.exists()

    here.set()
    succeeded(here.invoke(*words, "--accept-new-host-key"))
    assert known_hosts.read_text() == host.known_hosts.read_text()


def test_a_changed_host_key_is_refused(proven: Site, host: HostContainer) -> None:
    host.change_host_key()

    refused = proven.invoke("deploy", "--no-bench")
    host.trust()

    assert refused.exit_code == 3, refused.text
    assert "has changed" in refused.text
    succeeded(proven.invoke("verify"))
