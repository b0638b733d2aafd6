"""The run's own budget: above it the run fails, whatever its tests said."""

import time
from types import SimpleNamespace

import pytest

from tests.support.layer_times import LIMIT_S, LayerTimes


@pytest.mark.parametrize(
    ("age_s", "before", "after"),
    [
        (0, pytest.ExitCode.OK, pytest.ExitCode.OK),
        (LIMIT_S + 1, pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED),
        (LIMIT_S + 1, pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERRUPTED),
    ],
    ids=["in time", "too long", "ended otherwise"],
)
def test_a_run_above_its_budget_fails(age_s: float, before: pytest.ExitCode, after: pytest.ExitCode) -> None:
    session = SimpleNamespace(exitstatus=before)
    LayerTimes(time.time() - age_s).pytest_sessionfinish(session)  # type: ignore[arg-type]
    assert session.exitstatus == after
