"""Ctrl-C and SIGKILL in every phase: the old release serves, and the next deploy converges."""

import pytest

from tests.support.fleet import Site, until

PHASES = ("look", "install", "start", "smoke", "bench", "confirm")
GUARD_S = 45.0


def change(site: Site, mark: str) -> None:
    """Ask for another plan, so that the next deploy starts a new release."""
    site.set(environment={"FLEET_TEST_MARK": mark})


@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c_leaves_the_proven_release_and_the_next_deploy_converges(proven: Site, phase: str) -> None:
    before = proven.link("current")
    change(proven, f"ctrl-c-{phase}")
    running = proven.start("deploy")
    running.wait_for(f"{phase}")
    running.interrupt()

    ended = running.end()

    assert ended.exit_code == 130, ended.text
    assert proven.link("serving") == proven.link("current")
    assert phase == "confirm" or proven.link("current") == before
    assert proven.report()["exit_code"] == 130
    assert proven.invoke("lock.status", "--json").document == {"local": None}
    assert proven.invoke("deploy").exit_code == 0


@pytest.mark.parametrize("phase", PHASES)
def test_killed_controller_leaves_a_host_that_goes_back_by_itself(proven: Site, phase: str) -> None:
    before = proven.link("current")
    change(proven, f"kill-{phase}")
    running = proven.start("deploy")
    running.wait_for(f"{phase}")
    running.kill()
    running.end()

    until(lambda: proven.link("serving") == proven.link("current"), GUARD_S, "the guard brings the proven release back")
    assert phase == "confirm" or proven.link("current") == before

    converged = proven.invoke("deploy")
    assert converged.exit_code == 0, converged.text
    assert proven.link("serving") == proven.link("current") != before


def test_deploy_right_after_a_kill_takes_over(proven: Site) -> None:
    change(proven, "take-over")
    running = proven.start("deploy")
    running.wait_for("start")
    running.kill()
    running.end()

    converged = proven.invoke("deploy")

    assert converged.exit_code == 0, converged.text
    assert proven.link("serving") == proven.link("current")
