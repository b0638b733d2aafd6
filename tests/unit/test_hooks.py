"""A site's own programs around a deploy."""

import json
import stat
from pathlib import Path

import pytest

from devstral_fleet.errors import ConfigurationError, ExitCode, HookError, VerificationError
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows import hooks
from devstral_fleet.workflows.hooks import Hooks
from tests.support.fleet import until
from tests.support.hosts import host_of, quiet, target


class HookSite:
    """A site with an inventory file and hooks beside it, and one host of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "hooks"
        self.folder.mkdir()
        self.inventory = folder / "hosts.yml"
        self.inventory.write_text("")
        self.runs = RunDirectory(folder / "run")
        console, self.said = quiet()
        self.host = host_of(target(), console)

    def write(self, name: str, script: str) -> Path:
        program = self.folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return program

    def hooks(self, deadline_s: float = 20.0) -> Hooks:
        return Hooks(hooks.find(self.inventory), self.runs, self.inventory, deadline_s)


@pytest.fixture
def here(tmp_path: Path) -> HookSite:
    return HookSite(tmp_path)


def test_a_hook_knows_the_deploy_and_its_words_are_shown(here: HookSite) -> None:
    here.write("pre-deploy", 'echo "$FLEET_HOOK $FLEET_HOST $FLEET_MODEL $FLEET_ENDPOINT $FLEET_RELEASE"; env >env')
    here.host.record.known["release"] = "r1"
    here.hooks().run("pre-deploy", here.host)
    assert "local  pre-deploy: pre-deploy local devstral-tiny http://127.0.0.1:30000/v1 r1\n" in here.said.getvalue()
    known = dict(line.split("=", 1) for line in (here.folder / "env").read_text().splitlines() if "=" in line)
    plan = Path(known["FLEET_PLAN_FILE"])
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    assert json.loads(plan.read_text())["host"] == "local"
    assert (known["FLEET_RUN"], known["FLEET_INVENTORY"]) == (here.runs.id, str(here.inventory))
    assert (known["FLEET_OUTCOME"], known["FLEET_REASON"]) == ("", "")


def test_a_site_without_hooks_has_none(here: HookSite) -> None:
    here.folder.rmdir()
    here.hooks().run("pre-deploy", here.host)
    assert here.said.getvalue() == ""


def test_hooks_of_an_inventory_directory_lie_in_it(here: HookSite) -> None:
    program = here.write("post-deploy", "true")
    assert hooks.find(here.inventory.parent) == hooks.find(here.inventory) == {"post-deploy": program}


def test_a_hook_that_fails_says_what_it_said(here: HookSite) -> None:
    here.write("pre-deploy", "echo not today >&2; exit 3")
    with pytest.raises(HookError, match="pre-deploy ended with exit status 3") as caught:
        here.hooks().run("pre-deploy", here.host)
    assert caught.value.evidence == ("not today",)
    assert caught.value.code == ExitCode.CONFIGURATION


def test_a_hook_that_hangs_is_ended_with_its_children(here: HookSite) -> None:
    here.write("pre-deploy", "sleep 300 & echo $! >child; wait")
    with pytest.raises(HookError, match="took longer than 1 s"):
        here.hooks(deadline_s=1.0).run("pre-deploy", here.host)
    child = Path("/proc") / (here.folder / "child").read_text().strip()
    until(lambda: not child.exists(), 10.0, "the hook's child ends")


def test_a_hook_that_cannot_be_started_is_an_error(here: HookSite) -> None:
    here.write("pre-deploy", "").write_text("#!/nowhere/sh\n")
    with pytest.raises(HookError, match="cannot be started"):
        here.hooks().run("pre-deploy", here.host)


def test_after_the_fact_a_failure_is_a_warning(here: HookSite) -> None:
    here.write("post-deploy", "exit 1")
    here.hooks().tell("post-deploy", here.host)
    (finding,) = here.host.record.known["findings_after"]
    assert (finding.check, finding.state) == ("hook-post-deploy", "warn")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (VerificationError("the engine died, token=sesame123"), "the engine died, token=[removed]"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_on_failure_hears_why_and_the_error_goes_on(here: HookSite, error: BaseException, reason: str) -> None:
    here.write("on-failure", 'echo "$FLEET_OUTCOME: $FLEET_REASON"; exit 1')
    here.host.record.outcome = "restored"
    with pytest.raises(type(error)), here.hooks().around(here.host):
        raise error
    assert f"on-failure: restored: {reason}" in here.said.getvalue()


def test_on_failure_is_silent_on_a_host_that_was_not_touched(here: HookSite) -> None:
    here.write("on-failure", "echo heard")
    here.host.record.outcome = "untouched"
    with pytest.raises(KeyboardInterrupt), here.hooks().around(here.host):
        raise KeyboardInterrupt
    assert "heard" not in here.said.getvalue()


def test_a_long_output_is_shown_from_its_end(here: HookSite) -> None:
    here.write("pre-deploy", "seq 1 200000")
    here.hooks().run("pre-deploy", here.host)
    assert here.said.getvalue().count("pre-deploy: ") == hooks.SHOWN_LINES
    assert "pre-deploy: 200000\n" in here.said.getvalue()


def test_a_hook_that_would_never_run_is_refused_at_once(here: HookSite) -> None:
    program = here.write("pre-deploy", "true")
    program.chmod(0o644)
    with pytest.raises(ConfigurationError, match="not executable"):
        hooks.find(here.inventory)
    program.rename(here.folder / "pre_deploy.sh")
    with pytest.raises(ConfigurationError, match="would never run"):
        hooks.find(here.inventory)


def test_other_files_may_lie_beside_them(here: HookSite) -> None:
    here.write("balancer.py", "true")
    (here.folder / "README.md").write_text("")
    assert hooks.find(here.inventory) == {}
