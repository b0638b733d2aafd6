"""A host of the tests' own: a temporary home on this machine, reached as Ansible reaches `local`."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from devstral_fleet import catalog, rolevars
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.playbook import PlaybookCommand, PlaybookOutcome, run
from tests.support.engine import wheel
from tests.support.fleet import until
from tests.support.plans import native_plan
from tests.support.ports import free_port

FIRST = "20260101T000000Z-aaaaaaaaaaaa"
SECOND = "20260102T000000Z-bbbbbbbbbbbb"


@dataclass
class Host:
    """This machine under a home of the test's own."""

    home: Path
    requirements: Path
    port: int = field(default_factory=free_port)
    python: str = sys.executable

    def plan(self, **changes: object) -> DeploymentPlan:
        return native_plan(self.home, self.requirements, self.port, **changes)

    def play(
        self,
        playbook: str,
        release: str = FIRST,
        *,
        plan: DeploymentPlan | None = None,
        check: bool = False,
        guarded: bool = False,
        audit: dict[str, object] | None = None,
    ) -> PlaybookOutcome:
        """Run a playbook for `release`; a failure is the outcome's, not an exception."""
        roles = rolevars.role_variables(
            plan or self.plan(),
            release_id=release,
            previous_id="",
            run_id="run-1",
            service_manager="supervisor",
            requirements_path=str(self.requirements),
            supervisor_version=catalog.load().runtimes.supervisor,
            python=self.python,
            guarded=guarded,
            audit=audit,
        )
        command = PlaybookCommand(playbook, self.inventories(roles), limit=("local",), check=check, diff=check)
        return run(command, log=self.scratch / f"{playbook}.jsonl", on_event=lambda _event: None)

    def deploy(self, release: str = FIRST, *, plan: DeploymentPlan | None = None) -> PlaybookOutcome:
        """Deploy and require that it went well."""
        outcome = self.play("deploy.yml", release, plan=plan)
        outcome.raise_for_failure()
        return outcome

    @property
    def scratch(self) -> Path:
        """Beside the home, so that the home itself holds only what the roles put there."""
        path = self.home.with_name(self.home.name + "-controller")
        path.mkdir(exist_ok=True)
        return path

    def inventories(self, roles: rolevars.RoleVariables) -> tuple[Path, ...]:
        site = self.scratch / "site" / "hosts.json"
        connection = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        files = {"hosts.json": json.dumps({"all": {"hosts": {"local": connection}}})}
        for name, text in files.items():
            site.parent.mkdir(exist_ok=True)
            (site.parent / name).write_text(text)
        folder = self.scratch / "inventory"
        for name, text in rolevars.inventory_files({"local": roles}).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return site, folder / "hosts.json"

    def link(self, name: str) -> str:
        path = self.home / name
        return path.readlink().name if path.is_symlink() else ""

    def is_healthy(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def wait_until_healthy(self) -> None:
        until(self.is_healthy, 30, "healthy")

    def processes(self) -> dict[int, list[str]]:
        """Every process that runs from this home: {pid: words}."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words = path.read_bytes().decode(errors="replace").split("\0")
                if any(str(self.home) + "/" in word for word in words):
                    found[int(path.parent.name)] = words
        return found

    def pid(self, word: str) -> int:
        """The one process of this home that has `word` among its words."""
        [pid] = [pid for pid, words in self.processes().items() if any(word in each for each in words)]
        return pid

    def end(self) -> None:
        """End what is left, supervisor first, each by its id."""
        processes = self.processes()
        for pid in sorted(processes, key=lambda pid: not any("supervisord" in word for word in processes[pid])):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def requirements(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The replay engine as a site's own locked requirements."""
    return wheel.requirements(tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def bare(tmp_path: Path, requirements: Path) -> Iterator[Host]:
    """A host on which nothing was ever deployed."""
    host = Host(tmp_path / "home", requirements)
    yield host
    host.end()


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, requirements: Path) -> Host:
    """A host with everything in place and nothing running; its environments are lent to other homes."""
    host = Host(tmp_path_factory.mktemp("installed") / "home", requirements)
    host.deploy()
    host.play("stop.yml").raise_for_failure()
    return host


@pytest.fixture
def host(bare: Host, installed: Host) -> Host:
    """A host that has its environments already, which saves their seconds: a copy would not work elsewhere."""
    (bare.home / "supervisor").mkdir(parents=True)
    for name in ("environments", "supervisor/venv"):
        (bare.home / name).symlink_to(installed.home / name)
    shutil.copytree(installed.home / "models", bare.home / "models")
    return bare


def arguments_of_all_processes() -> str:
    """The command lines of every process, as any user may read them."""
    return subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout
