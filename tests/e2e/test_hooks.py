"""Hooks around a real deploy. The inventory is a directory, and Ansible takes nothing of its hooks for inventory."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import INVOKE, ROOT
from tests.support.several import SeveralHosts, several

NAMES = ("pre-deploy", "post-deploy", "on-failure")
TOLD = 'echo "$FLEET_HOOK of $FLEET_HOST: release ${FLEET_RELEASE:+there} ${FLEET_OUTCOME:-pending}; $FLEET_REASON"'


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, replay_requirements: Path) -> Iterator[SeveralHosts]:
    """One host, whose first deploy has run with its hooks."""
    with several(tmp_path_factory.mktemp("hooks"), 1, engine_requirements=str(replay_requirements)) as here:
        for name in NAMES:
            here.hook(name, TOLD)
        deployed = here.invoke("deploy", "--no-bench")
        assert deployed.exit_code == 0, deployed.text
        assert told(deployed.stdout) == [
            "pre-deploy of h1: release there pending; ",
            "post-deploy of h1: release there deployed; ",
        ]
        yield here


@pytest.fixture
def site(shared: SeveralHosts) -> Iterator[SeveralHosts]:
    """The shared host with its plain plan, and hooks that say what they were told."""
    assert shared.proven()
    for name in NAMES:
        shared.hook(name, TOLD)
    yield shared
    shared.set(environment=None)


def told(text: str) -> list[str]:
    """What the hooks said."""
    return [line.partition(": ")[2] for line in text.splitlines() if any(f"h1  {name}: " in line for name in NAMES)]


def test_ansible_takes_no_hook_for_inventory(site: SeveralHosts) -> None:
    site.hook("post-deploy", "touch taken; echo '{}'")
    site.hook("extra.yml", "")
    listed = subprocess.run(
        [str(INVOKE.with_name("ansible-inventory")), "--inventory", str(site.inventory), "--list"],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(json.loads(listed.stdout)["_meta"]["hostvars"]) == ["h1"]
    assert "hooks" not in listed.stderr
    assert site.invoke("plan").exit_code == 0
    assert not (site.hooks / "taken").exists()
    (site.hooks / "extra.yml").unlink()


def test_pre_deploy_that_fails_ends_it_before_anything_is_changed(site: SeveralHosts) -> None:
    before = sorted(path.name for path in (site.members[0].home / "releases").iterdir())
    site.set(environment={"FLEET_TEST_MARK": "refused"})
    site.hook("pre-deploy", "echo 'not on a Friday' >&2; exit 1")
    ended = site.invoke("deploy", "--no-bench")
    assert ended.exit_code == 2, ended.text
    assert "h1  pre-deploy: not on a Friday" in ended.stdout
    assert "h1: the hook pre-deploy ended with exit status 1" in ended.stderr
    assert told(ended.stdout)[-1].startswith("on-failure of h1: release there failed; h1: the hook pre-deploy")
    assert sorted(path.name for path in (site.members[0].home / "releases").iterdir()) == before
    assert "install" not in {phase["name"] for phase in site.report()["hosts"][0]["phases"]}
    assert site.proven()

    passed = site.invoke("deploy", "--no-bench", "--no-hooks")
    assert passed.exit_code == 0, passed.text
    assert told(passed.stdout) == []


def test_on_failure_hears_of_a_host_that_went_back_and_its_own_failure_warns(site: SeveralHosts) -> None:
    site.set(environment={"REPLAY_FAULT": "die_at_start"})
    site.hook("on-failure", f"{TOLD}; exit 9")
    ended = site.invoke("deploy", "--no-bench")
    assert ended.exit_code == 5, ended.text
    assert told(ended.stdout)[-1].startswith("on-failure of h1: release there restored; h1: the engine died")
    host = site.report()["hosts"][0]
    assert (host["outcome"], host["error"]["exit_code"]) == ("restored", 5)
    assert "hook-on-failure" in {finding["check"] for finding in host["findings_after"]}


def test_post_deploy_that_fails_takes_nothing_back(site: SeveralHosts) -> None:
    site.hook("post-deploy", "exit 1")
    ended = site.invoke("deploy", "--no-bench")
    assert ended.exit_code == 0, ended.text
    assert "the hook post-deploy ended with exit status 1" in ended.stdout
    assert site.proven()


def test_check_runs_no_hook_and_refuses_one_that_could_not_run(site: SeveralHosts) -> None:
    ended = site.invoke("deploy", "--check")
    assert ended.exit_code == 0, ended.text
    assert told(ended.stdout) == []
    (site.hooks / "pre-deploy").chmod(0o644)
    assert site.invoke("deploy", "--check").exit_code == 2
    shutil.rmtree(site.hooks)
