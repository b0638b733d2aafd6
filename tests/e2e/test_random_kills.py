"""SIGKILL at random moments of a deploy: what was proven serves in between, and the next deploy converges.

`make test` draws five moments, `make soak` fifteen others. The last lines say the seed; `--kill-seed` repeats a run.
"""

import subprocess
import time
from dataclasses import dataclass
from random import Random

import pytest

from tests.support.fleet import Site, until

CI_KILLS, ALL_KILLS = 5, 20
GUARD_S = 60.0
"""Silence after which the guard acts, and the time it takes to bring the proven release back."""


@dataclass(frozen=True)
class Undisturbed:
    """The shared site, and how long a deploy of a new release takes there when nobody kills it."""

    site: Site
    takes_s: float


@pytest.fixture(scope="module")
def undisturbed(replay_site: Site) -> Undisturbed:
    replay_site.set(health_deadline_s=None).change("undisturbed")
    began = time.monotonic()
    deployed = replay_site.invoke("deploy")
    assert deployed.exit_code == 0, deployed.text
    return Undisturbed(replay_site, time.monotonic() - began)


def killed_after(site: Site, seconds: float) -> str:
    """Start a deploy and kill its controller after so long; return what it had said by then."""
    running = site.start("deploy")
    try:
        running.process.wait(seconds)
    except subprocess.TimeoutExpired:
        running.kill()
    return running.end().text


@pytest.mark.parametrize(
    "number",
    [
        *(pytest.param(number, id=f"{number}") for number in range(CI_KILLS)),
        *(pytest.param(number, id=f"{number}", marks=pytest.mark.soak) for number in range(CI_KILLS, ALL_KILLS)),
    ],
)
def test_a_killed_controller_leaves_what_was_proven(undisturbed: Undisturbed, kill_seed: int, number: int) -> None:
    site = undisturbed.site
    moment_s = Random(f"{kill_seed}-{number}").uniform(0.0, undisturbed.takes_s)  # noqa: S311 - a test's moment
    site.change(f"kill-{kill_seed}-{number}")

    said = killed_after(site, moment_s)

    told = f"seed {kill_seed}, killed after {moment_s:.2f} s of {undisturbed.takes_s:.2f}:\n{said}"
    until(lambda: site.link("serving") == site.link("current") != "", GUARD_S, f"a proven release serves; {told}")
    until(lambda: serves(site), GUARD_S, f"it answers; {told}")
    converged = site.invoke("deploy", "--no-bench")
    assert converged.exit_code == 0, told + converged.text
    assert site.serving_plan() == site.invoke("plan", "--json").document[site.host], told
    assert site.link("serving") == site.link("current")
    assert site.invoke("lock.status", "--json").document == {site.host: None}


def serves(site: Site) -> bool:
    """Whether the endpoint is healthy as `status` sees it."""
    return bool(site.invoke("status", "--json").document[0]["state"] == "serving")
