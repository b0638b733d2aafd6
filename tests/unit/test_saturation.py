"""From which load on more requests bring no more tokens."""

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.bench.saturation import findings, saturated
from tests.unit.bench_samples import h100_result, measurement

LIMITS = catalogs.load().limits


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([(1, 100.0), (16, 1000.0), (100, 3800.0)], None),
        ([(1, 100.0), (16, 1000.0), (32, 1090.0)], 16),
        ([(1, 100.0), (16, 1000.0), (32, 1100.0)], None),  # just the growth that counts
        ([(64, 1010.0), (1, 100.0), (32, 1005.0), (16, 1000.0)], 16),
        ([(16, 1000.0), (64, 1200.0)], 16),  # 9.5 % for each of two doublings
        ([(1, 100.0), (2, 101.0), (4, 200.0)], None),  # it grows again after a dip
        ([(1, 100.0), (2, 90.0), (4, 80.0)], 1),
        ([(1, 100.0)], None),
    ],
)
def test_the_lowest_level_after_which_nothing_grows(levels: list[tuple[int, float]], expected: int | None) -> None:
    assert saturated(levels, 10.0) == expected


def at(concurrency: int, speed: float, **changes: object) -> Measurement:
    one = measurement(h100_result().model_copy(update={"output_throughput": speed}))
    return one.model_copy(update={"concurrency": concurrency, **changes})


def test_a_sentence_for_each_workload_with_three_levels() -> None:
    chat = [at(1, 100.0), at(16, 1000.0), at(32, 1020.0)]
    other = [at(level, speed, workload="reasoning") for level, speed in ((1, 100.0), (16, 900.0), (100, 3000.0))]
    few = [at(1, 100.0, workload="summarization"), at(16, 110.0, workload="summarization")]
    found = findings([*chat, *other, *few], LIMITS)
    assert {(one.check, one.state) for one in found} == {("bench-saturation", "ok")}
    assert [one.summary for one in found] == [
        "chat: 16 requests in flight saturate it, at 1000 tok/s; more of them bring less than 10 % for each doubling",
        "reasoning: the throughput still grows at 100 requests in flight",
    ]


def test_a_point_that_lost_requests_says_nothing_of_speed() -> None:
    lost = at(32, 500.0).model_copy(update={"results": (h100_result(prompts=81),)})
    assert findings([at(1, 100.0), at(16, 1000.0), lost], LIMITS) == ()
