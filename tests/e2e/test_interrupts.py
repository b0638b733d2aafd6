"""Ctrl-C and SIGKILL in every phase: the old release serves, and the next deploy converges."""

import signal

import pytest

from tests.support.fleet import Site, until

PHASES = ("look", "install", "start", "smoke", "bench", "confirm")
IN_EACH_RUN = "start"
INTERRUPTED = tuple(pytest.param(each, marks=() if each == IN_EACH_RUN else pytest.mark.soak) for each in PHASES)
"""Kills are drawn at random in each run (test_random_kills.py)."""
GUARD_S = 45.0


@pytest.fixture
def settled(proven: Site) -> Site:
    """The shared site as the test before left it: with a proven release that serves."""
    assert proven.link("serving") == proven.link("current") != ""
    return proven


def options(phase: str) -> tuple[str, ...]:
    """The benchmark runs only where it is the phase."""
    return () if phase == "bench" else ("--no-bench",)


@pytest.mark.parametrize("phase", INTERRUPTED)
def test_ctrl_c_leaves_the_proven_release_and_the_next_deploy_converges(settled: Site, phase: str) -> None:
    before = settled.link("current")
    settled.change(f"ctrl-c-{phase}")
    running = settled.start("deploy", *options(phase))
    running.wait_for(f"local  {phase}")
    running.interrupt()

    ended = running.end()

    assert ended.exit_code == 130, ended.text
    assert settled.link("serving") == settled.link("current")
    assert phase == "confirm" or settled.link("current") == before
    assert settled.report()["exit_code"] == 130
    assert settled.invoke("lock.status", "--json").document == {"local": None}
    assert settled.invoke("deploy", "--no-bench").exit_code == 0


@pytest.mark.soak
def test_a_closed_terminal_is_an_interrupt(settled: Site) -> None:
    before = settled.link("current")
    settled.change("hang-up")
    running = settled.start("deploy", "--no-bench")
    running.wait_for("local  start")
    running.process.send_signal(signal.SIGHUP)

    assert running.end().exit_code == 130
    assert settled.link("serving") == settled.link("current") == before
    assert settled.invoke("deploy", "--no-bench").exit_code == 0


@pytest.mark.soak
def test_a_second_and_a_third_ctrl_c_do_not_stop_the_way_back(settled: Site) -> None:
    before = settled.link("current")
    settled.change("impatient")
    running = settled.start("deploy", "--no-bench")
    running.wait_for("local  start")
    running.interrupt()
    running.wait_for("going back to")
    running.interrupt()
    running.wait_for("local  switch")
    running.interrupt()

    assert running.end().exit_code == 130
    assert settled.link("serving") == settled.link("current") == before
    assert settled.invoke("deploy", "--no-bench").exit_code == 0


@pytest.mark.soak
@pytest.mark.parametrize("phase", PHASES)
def test_killed_controller_leaves_a_host_that_goes_back_by_itself(settled: Site, phase: str) -> None:
    before = settled.link("current")
    settled.change(f"kill-{phase}")
    running = settled.start("deploy", *options(phase))
    running.wait_for(f"local  {phase}")
    running.kill()
    running.end()

    until(lambda: settled.link("serving") == settled.link("current"), GUARD_S, "the guard brings it back")
    assert phase == "confirm" or settled.link("current") == before

    converged = settled.invoke("deploy", "--no-bench")
    assert converged.exit_code == 0, converged.text
    assert settled.link("serving") == settled.link("current") != before


def test_deploy_right_after_a_kill_takes_over(settled: Site) -> None:
    settled.change("take-over")
    running = settled.start("deploy", "--no-bench")
    running.wait_for("start")
    running.kill()
    running.end()

    converged = settled.invoke("deploy", "--no-bench")

    assert converged.exit_code == 0, converged.text
    assert settled.link("serving") == settled.link("current")
