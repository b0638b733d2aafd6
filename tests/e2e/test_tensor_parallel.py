"""The real engine over two ranks of tensor parallel; each has a core here, and a GPU on a host that has them."""

from pathlib import Path

import pytest

from devstral_fleet.problems import OMP_BIND
from tests.support.fleet import Site, succeeded

pytestmark = [pytest.mark.real_engine, pytest.mark.soak]  # two ranks have both cores of a small machine to themselves


def test_two_ranks_serve_and_are_proven(real_site: Site, engine_home: Path) -> None:
    assert engine_home == real_site.home
    real_site.set(tensor_parallel=2, environment={OMP_BIND: "0|1"})
    try:
        succeeded(real_site.invoke("deploy", "--no-bench"))
        host = real_site.report()["hosts"][0]
        assert (real_site.serving_plan()["tp"], host["server_info"]["tp_size"]) == (2, 2)
        assert {finding["state"] for finding in host["smoke"]} == {"ok"}
    finally:
        real_site.set(tensor_parallel=None, environment=None)
