"""What a deploy left on a host: recorded and compared for real, in a directory of the test's own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstral_fleet import converged
from tests.support.fleet import ROOT
from tests.support.plans import IN_A_CONTAINER, native_plan, role_variables

SCRIPT = ROOT / "playbooks" / "roles" / "converged" / "files" / "converged.py"
RELEASE = "20260101T000000Z-aaaaaaaaaaaa"


class Home:
    """A directory with a file, a link to it and a release, in whose directory a process runs."""

    def __init__(self, path: Path) -> None:
        self.file, self.link, self.release = path / "file", path / "link", path / RELEASE
        self.record = self.release / "converged.json"
        self.file.write_text("as it was\n")
        self.link.symlink_to("file")
        self.release.mkdir()
        self.engine = subprocess.Popen(["sleep", "60"], cwd=self.release)

    def run(self, *words: str) -> list[str]:
        done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    def recorded(self, *options: str, inputs: str = "inputs") -> list[str]:
        paths = (self.file, self.link, self.release)
        return self.run("record", *options, str(self.record), inputs, *map(str, paths))

    def differences(self, inputs: str = "inputs", pid: int = 0) -> list[str]:
        return self.run("compare", str(self.record), inputs, str(pid or self.engine.pid))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    here = Home(tmp_path)
    yield here
    here.engine.kill()
    here.engine.wait()


def test_a_host_as_it_was_left_differs_in_nothing(home: Home) -> None:
    assert home.recorded() == [f"recorded what {RELEASE} left"]
    assert home.record.stat().st_mode & 0o777 == 0o600
    assert home.recorded() == []
    assert home.differences() == []


def test_check_only_says_that_it_would_record(home: Home) -> None:
    assert home.recorded("--check") == [f"recorded what {RELEASE} left"]
    assert not home.record.exists()


@pytest.mark.parametrize("change", ["content", "mode", "gone", "another kind", "link"])
def test_what_was_changed_is_named(home: Home, change: str) -> None:
    home.recorded()
    match change:
        case "content":
            home.file.write_text("as it is\n")
        case "mode":
            home.file.chmod(0o600)
        case "gone":
            home.file.unlink()
        case "another kind":
            home.file.unlink()
            home.file.mkdir()
        case "link":
            home.link.unlink()
            home.link.symlink_to("elsewhere")
    assert home.differences() == [f"{home.link if change == 'link' else home.file} has changed"]


def test_a_file_of_the_same_size_and_time_is_read(home: Home) -> None:
    home.recorded()
    was = home.file.stat()
    home.file.write_text("as it is!"[: was.st_size - 1] + "\n")
    os.utime(home.file, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert home.differences() == [f"{home.file} has changed"]


def test_a_release_that_no_deploy_recorded_differs(home: Home) -> None:
    assert home.differences() == ["no deploy has recorded this release"]
    home.record.write_text('{"half')
    assert home.differences() == ["no deploy has recorded this release"]


def test_other_inputs_differ(home: Home) -> None:
    home.recorded()
    assert home.differences("others") == ["the playbook or what it is given has changed"]


def test_a_process_of_another_release_or_none_differs(home: Home) -> None:
    home.recorded()
    assert home.differences(pid=os.getpid()) == [f"process {os.getpid()} runs {Path.cwd().name}, not {RELEASE}"]
    home.engine.kill()
    home.engine.wait()
    assert home.differences() == [f"process {home.engine.pid} runs nothing, not {RELEASE}"]


def test_inputs_are_what_lasts(tmp_path: Path) -> None:
    roles = role_variables(tmp_path, **IN_A_CONTAINER)
    same = converged.inputs_digest(roles, "playbooks")
    of_a_run = {**roles["service"], "run": "run-2", "return_to": "another", "guarded": False}

    assert converged.inputs_digest({**roles, "service": of_a_run}, "playbooks") == same
    assert (
        converged.inputs_digest({**roles, "image": {**roles["image"], "source": "127.0.0.1:1/x"}}, "playbooks") == same
    )
    assert converged.inputs_digest({**roles, "service": {**roles["service"], "log": "/x"}}, "playbooks") != same
    assert converged.inputs_digest(roles, "other playbooks") != same


def test_the_runtime_and_the_manager_decide_the_paths(tmp_path: Path) -> None:
    requirements = tmp_path / "lock"
    requirements.write_text("sglang\n")
    plan = native_plan(Path("/opt/fleet"), requirements, 30000)
    paths = converged.paths(plan, RELEASE, by_systemd=True)
    assert "/opt/fleet/secrets/engine.yml" in paths
    assert f"/opt/fleet/releases/{RELEASE}/start" in paths
    assert any(path.startswith("/etc/systemd/system/devstral-fleet-") for path in paths)
    assert any(path.startswith("/opt/fleet/environments/") for path in paths)
    assert "/opt/fleet/supervisor/supervisord.conf" in converged.paths(plan, RELEASE, by_systemd=False)
    in_a_container = native_plan(Path("/opt/fleet"), requirements, 30000, **IN_A_CONTAINER)
    assert "/opt/fleet/cache" in converged.paths(in_a_container, RELEASE, by_systemd=True)
