"""How fast a deploy that changes nothing is over SSH: `python -m tests.bench.hosts`.

Needs what the lab's tests need (`tests/setup-machine.sh`), and several minutes. Four hosts of a lab of its own get the
replay engine in a container. Then, the median of REPEATS each and smoke checks not counted: a deploy to one of them
beside a playbook by hand with as many tasks that do nothing over the same SSH, and to all four beside one.
"""

import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.bench.speed import Comparison, run, seconds
from tests.support.fleet import Site, succeeded
from tests.support.host_container import HostContainer, host_lab
from tests.support.replay_image import replay_image
from tests.support.systemd_host import HOME, PORT
from tests.support.tree import program

HOSTS = 4
REPEATS = 3


class Fleet(Site):
    """A site with several hosts, which are named by their group."""

    def write(self, hosts: tuple[HostContainer, ...]) -> "Fleet":
        """Write the inventory."""
        entries = {host.name: {**self.entry(), **host.connection()} for host in hosts}
        self.directory.mkdir(parents=True, exist_ok=True)
        self.inventory.write_text(yaml.safe_dump({"all": {"children": {"bench": {"hosts": entries}}}}))
        return self


def beside_smoke_s(fleet: Fleet, host: str) -> float:
    """Deploy and return the seconds of the whole command, without the longest smoke checks of a host."""
    took = seconds(lambda: succeeded(fleet.invoke("deploy", "--no-bench", "--host", host)))
    report = fleet.report()
    assert {each["outcome"] for each in report["hosts"]} == {"unchanged"}, report
    smoke = [sum(p["seconds"] for p in each["phases"] if p["name"] == "smoke") for each in report["hosts"]]
    longest: float = max(smoke)
    return took - longest


def median_s(action: Callable[[], float]) -> float:
    """Return the median of several calls."""
    return statistics.median(action() for _ in range(REPEATS))


def tasks_of_a_deploy(fleet: Fleet, host: str) -> int:
    """Return how many tasks deploy.yml runs on a host where nothing differs."""
    succeeded(fleet.invoke("deploy", "--check", "--host", host))
    log = max(fleet.runs.glob(f"*/{host}-deploy.yml.jsonl"))
    events = map(json.loads, log.read_text().splitlines())
    return sum(event.get("_event") == "v2_runner_on_ok" for event in events)


def by_hand(folder: Path, host: str, count: int) -> list[str]:
    """Return the command that runs as many tasks, which change nothing, on the same host."""
    task = {"name": "Do nothing", "ansible.builtin.command": {"argv": ["true"]}, "changed_when": False}
    play = [{"name": "By hand", "hosts": host, "gather_facts": False, "tasks": [task] * count}]
    path = folder / "by-hand.yml"
    path.write_text(yaml.safe_dump(play))
    return [program("ansible-playbook"), "--inventory", str(folder / "hosts.yml"), str(path)]


def main() -> None:
    """Print the comparisons."""
    with tempfile.TemporaryDirectory(prefix="fleet-speed-") as name, host_lab(Path(name, "lab")) as lab:
        hosts = lab.hosts(HOSTS)
        keys = {"runtime": "container", "image": replay_image(lab.client)}
        fleet = Fleet(Path(name, "site"), HOME, PORT, keys, connection={}).write(hosts)
        succeeded(fleet.invoke("deploy", "--no-bench", "--host", "bench"))
        first = hosts[0].name
        one_s = median_s(lambda: beside_smoke_s(fleet, first))
        all_s = median_s(lambda: beside_smoke_s(fleet, "bench"))
        count = tasks_of_a_deploy(fleet, first)
        words = by_hand(fleet.directory, first, count)
        by_hand_s = median_s(lambda: seconds(lambda: run(words)))
        aim = "ratio 1.3, 3 s beyond, 10 s in all"
        print(Comparison("deploy, changes nothing", one_s, f"{count} tasks by hand", by_hand_s, aim))
        print(Comparison(f"the same, {HOSTS} hosts", all_s, "one host", one_s, "ratio 1.5"))


if __name__ == "__main__":
    main()
