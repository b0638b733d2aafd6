"""Who copies a model's files from whom: one asks the hub, a source serves one at a time, failed copies are repeated."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devstral_fleet import peers
from devstral_fleet.catalog import load
from devstral_fleet.errors import WeightsError
from devstral_fleet.intent import Connection
from devstral_fleet.peers import Copy, Way
from devstral_fleet.problems import problems
from devstral_fleet.resolve import resolve_all
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.sources import Sources
from devstral_fleet.weights import WeightFile, WeightPin
from devstral_fleet.workflows import peers as module
from devstral_fleet.workflows import weights
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.peers import Peers
from devstral_fleet.workflows.planning import Target
from tests.support.hosts import host_of, quiet
from tests.support.intents import gpu_host

PIN = WeightPin(revision="a" * 40, files={"config.json": WeightFile(size=1, hash="git:" + "b" * 40)})
REPOSITORY = "mistralai/Devstral-Small-2-24B-Instruct-2512"
WAIT_S = 30.0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.5", ("10.0.0.5", 22)),
        ("10.0.0.5:2222", ("10.0.0.5", 2222)),
        ("gpu01.site", ("gpu01.site", 22)),
        ("[fd00::5]:2222", ("fd00::5", 2222)),
        ("[fd00::5]", ("fd00::5", 22)),
        ("", None),
        ("fd00::5", None),
        ("10.0.0.5:99999", None),
        ("root@10.0.0.5", None),
        ("10.0.0.5/x", None),
        ("-oProxyCommand=x", None),
        ("a b", None),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, found: tuple[str, int] | None) -> None:
    assert peers.address(text) == found
    said = [line for line in problems(gpu_host(peer_address=text), load(), Sources()) if "fleet_peer_address" in line]
    assert bool(said) == (found is None)


def test_the_private_key_is_in_no_word() -> None:
    way = Way(
        source="gpu01", address="10.0.0.5", port=2222, user="deployer", host_keys=("ed25519 A", "rsa B"), key="PEM"
    )
    assert "PEM" not in " ".join(way.words)
    assert "PEM" not in repr(way)
    assert way.known_hosts == "source ed25519 A\nsource rsa B"
    assert "-o HostName=10.0.0.5" in " ".join(way.words)


class Site:
    """Hosts that are nowhere; what a job would do is done by a thread, and told."""

    def __init__(self, folder: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
        names = [f"h{number}" for number in range(count)]
        at = Connection(kind="ssh", address="192.0.2.1")
        intents = [
            gpu_host(name=name, connection=at, home=f"/{name}", port=30000 + n, peer_address="10.0.0.1")
            for n, name in enumerate(names)
        ]
        plans = resolve_all(intents, load(), Sources(weights={REPOSITORY: PIN}))
        self.targets = [Target(intent, plans[intent.name]) for intent in intents]
        self.console, _ = quiet()
        self.present: set[str] = set()
        self.copies: list[tuple[str, str]] = []
        self.from_hub: list[str] = []
        self.serving: set[str] = set()
        self.broken: set[str] = set()
        self.busiest = 0
        self.lock = threading.Lock()
        self.peers = Peers(folder, self.targets)
        monkeypatch.setattr(weights, "missing", lambda host: host.name not in self.present)
        monkeypatch.setattr(weights, "run", self.run)
        monkeypatch.setattr(module, "access", self.access)
        monkeypatch.setattr(module, "LOOK_S", 0.001)

    @contextmanager
    def access(self, source: Target) -> Iterator[Way]:
        with self.lock:
            assert source.name not in self.serving, "one at a time"
            self.serving.add(source.name)
            self.busiest = max(self.busiest, len(self.serving))
        yield Way(source=source.name, address="10.0.0.1", port=22, user="u", host_keys=(), key="")
        with self.lock:
            self.serving.remove(source.name)

    def run(self, host: Host, _pin: WeightPin, mode: str, copy: Copy) -> str:
        assert mode == "copy"
        source, _, address = copy.source.partition(" ")
        assert address == "(10.0.0.1)"
        threading.Event().wait(0.01)
        with self.lock:
            self.copies.append((source, host.name))
        if source in self.broken:
            self.serving.remove(source)
            raise WeightsError(f"{source} gives nothing")
        self.present.add(host.name)
        return "complete"

    def alone(self, name: str) -> str:
        with self.lock:
            self.from_hub.append(name)
        if name in self.broken:
            raise WeightsError(f"{name} has no way to the hub")
        self.present.add(name)
        return "complete"

    def bring(self) -> dict[str, str]:
        """Bring the files to every host at the same time; how each one ended."""
        ends: dict[str, str] = {}

        def one(target: Target) -> None:
            try:
                ends[target.name] = self.peers.bring(
                    host_of(target, self.console), PIN, lambda: self.alone(target.name)
                )
            except WeightsError as error:
                ends[target.name] = error.message

        threads = [threading.Thread(target=one, args=(target,)) for target in self.targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        return ends


def test_one_asks_the_hub_and_the_others_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, 12, monkeypatch)
    assert set(site.bring().values()) == {"complete"}
    assert len(site.from_hub) == 1
    assert len(site.copies) == 11
    assert len({source for source, _ in site.copies}) > 2
    assert site.busiest > 1, "those who got them give them on"


def test_nobody_asks_the_hub_where_a_host_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, 4, monkeypatch)
    site.present.add("h2")
    site.peers.has(site.targets[2])
    site.targets = [target for target in site.targets if target.name != "h2"]
    assert set(site.bring().values()) == {"complete"}
    assert site.from_hub == []


def test_seven_hosts_take_the_time_of_three_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, 8, monkeypatch)
    first, *site.targets = site.targets
    site.peers.has(first)
    begun: list[str] = []
    turns = [threading.Barrier(copies) for copies in (1, 2, 4)]

    def run(host: Host, pin: WeightPin, mode: str, copy: Copy) -> str:
        with site.lock:
            begun.append(host.name)
            turn = len(begun).bit_length() - 1
        turns[turn].wait(WAIT_S)  # breaks where as many do not copy at the same time
        return site.run(host, pin, mode, copy)

    monkeypatch.setattr(weights, "run", run)
    assert list(site.bring().values()) == ["complete"] * 7
    assert len(begun) == 7


def test_hosts_are_looked_at_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, 3, monkeypatch)

    def look(host: Host) -> bool:
        (tmp_path / f"{host.name}-{os.getpid()}").touch()
        return host.name == "h1"

    monkeypatch.setattr(weights, "has_folder", look)
    Peers.of(RunDirectory(tmp_path), site.targets, site.console)
    assert {path.name for path in tmp_path.glob("peers/*/h*")} == {"h1"}
    looked = {path.name.partition("-")[2] for path in tmp_path.glob("h*-*")}
    assert len(looked) == 1
    assert looked != {str(os.getpid())}, "threads and SSH's library in this one would hang the processes it forks"


def test_who_cannot_reach_the_hub_lets_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, 3, monkeypatch)
    site.broken.add("h0")
    ends = site.bring()
    assert "complete" in ends.values()
    assert len(site.from_hub) <= 2
    assert ends["h1"] == ends["h2"] == "complete"


def test_a_source_that_gives_nothing_is_tried_again_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, 3, monkeypatch)
    site.broken.add("h0")
    for name in ("h0", "h1"):
        site.present.add(name)
        site.peers.has(site.targets[int(name[1])])
    site.targets = site.targets[2:]
    assert site.bring() == {"h2": "complete"}
    assert site.copies == [("h0", "h2"), ("h1", "h2")]


def test_a_source_that_never_gives_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, 2, monkeypatch)
    site.broken.add("h0")
    site.peers.has(site.targets[0])
    site.targets = site.targets[1:]
    assert site.bring() == {"h1": "h0 gives nothing"}
    assert site.copies == [("h0", "h1")] * module.ATTEMPTS
    assert site.from_hub == []


def test_a_host_whose_own_files_are_wrong_gives_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, 2, monkeypatch)
    site.broken.add("h0")
    site.peers.has(site.targets[0])
    first, second = site.targets
    site.targets = [first]
    assert site.bring() == {"h0": "h0 has no way to the hub"}
    site.targets = [second]
    assert site.bring() == {"h1": "complete"}
    assert site.from_hub == ["h0", "h1"]


def test_hosts_without_the_key_bring_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, 2, monkeypatch)
    site.targets = [
        Target(target.intent.model_copy(update={"peer_address": None}), target.plan) for target in site.targets
    ]
    site.peers = Peers(tmp_path, site.targets)
    assert set(site.bring().values()) == {"complete"}
    assert sorted(site.from_hub) == ["h0", "h1"]
    assert not (tmp_path / "peers").exists()
