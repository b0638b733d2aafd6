"""One engine over several hosts: its plan on each, and what stands against it. SGLang divides tp over the hosts."""

from typing import Any

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.errors import ConfigurationError, PlanError
from devstral_fleet.intent import Connection
from devstral_fleet.resolve import resolve_all
from devstral_fleet.workflows.deploy import require_one_host
from devstral_fleet.workflows.planning import Target
from tests.support.intents import SOURCES, cpu_host, gpu_host, planned

MEETING = "10.0.0.1:20000"


def node(name: str, **keys: Any) -> Any:
    at = Connection(kind="ssh", address=f"192.0.2.{ord(name)}")
    return gpu_host(
        **{"name": name, "connection": at, "gpu_count": 2, "nodes": ("a", "b"), "nodes_address": MEETING, **keys}
    )


def test_each_host_has_its_rank_and_its_part_of_the_gpus() -> None:
    intents = [node(name, model="devstral-2") for name in "ab"]
    plans = resolve_all(intents, catalogs.load(), SOURCES)
    alone = planned(gpu_host(model="devstral-2", gpu_count=4))
    for rank, name in enumerate("ab"):
        plan = plans[name]
        assert (plan.tp, plan.gpus, plan.nodes) == (4, (0, 1), 2)
        assert plan.kv_pool_tokens == alone.kv_pool_tokens
        words = " ".join(plan.arguments)
        assert "--tp 4 " in words
        assert f"--nnodes 2 --node-rank {rank} --dist-init-addr {MEETING}" in words
        assert any("pickled Python objects" in note for note in plan.notes)
    assert alone.nodes == 1
    assert not any("pickled" in note for note in alone.notes)


def test_it_is_planned_and_not_deployed() -> None:
    intent = node("a", model="devstral-2")
    with pytest.raises(ConfigurationError, match="spans 2 hosts") as caught:
        require_one_host(Target(intent, planned(intent)))
    assert "invoke plan --host a,b" in caught.value.fix


@pytest.mark.parametrize(
    ("intent", "problem"),
    [
        (node("c"), "fleet_nodes is a, b; name this host and the others"),
        (node("a", nodes=("a",)), "fleet_nodes is a; name this host and the others"),
        (node("a", nodes=("a", "b", "a")), "each once"),
        (node("a", nodes_address=None), "fleet_nodes_address is ''; give a's, with a free port"),
        (node("a", nodes_address="10.0.0.1"), "fleet_nodes_address is '10.0.0.1'; give a's, with a free port"),
        (node("a", nodes_address="gpu01:20000"), "is 'gpu01:20000'; give a's"),
        (node("a", nodes_address="0.0.0.0:20000"), "is no private address"),
        (node("a", nodes_address="127.0.0.1:20000"), "is no private address"),
        (node("a", nodes_address="8.8.8.8:20000"), "is no private address"),
        (node("a", tensor_parallel=8), "tp 8 needs 8 GPUs and its 2 hosts together have 4; use a smaller tp"),
        (node("a", tensor_parallel=1), "tp 1 does not divide over 2 hosts; use a multiple of 2"),
        (node("a", nodes=("a", "b", "c")), "no tp divides devstral-small-2's heads and 3 hosts with 6 GPUs together"),
        (gpu_host(nodes_address=MEETING), "fleet_nodes_address is for hosts with fleet_nodes"),
        (cpu_host(name="a", nodes=("a", "b"), nodes_address=MEETING), "fleet_nodes is for hosts with GPUs"),
    ],
)
def test_nodes_that_cannot_be(intent: Any, problem: str) -> None:
    with pytest.raises(PlanError) as caught:
        planned(intent)
    assert problem in " ".join(caught.value.problems)


def test_hosts_that_serve_together_say_the_same() -> None:
    other = {"hardware": "h200", "nodes_address": "10.0.0.2:20000"}
    with pytest.raises(PlanError) as caught:
        resolve_all([node("a"), node("b", **other)], catalogs.load(), SOURCES)
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "b: its fleet_nodes_address is not a's, and both serve together",
        "b: its fleet_hardware is not a's, and both serve together",
    ]
