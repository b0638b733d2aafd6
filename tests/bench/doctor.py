"""How long `doctor` takes on many hosts beside one: `python -m tests.bench.doctor`.

Needs what the lab's tests need (`tests/setup-machine.sh`). One simulated GPU host stands in the inventory under HOSTS
names, each with a home and a port of its own, so that this machine answers for all of them: on hosts of their own the
ratio of the first line is lower. The second line leaves out what the hosts do: the controller's processor time, which
is all that hosts of their own share.
"""

import resource
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

import yaml

from devstral_fleet import lab as labs
from tests.bench.speed import Comparison, seconds
from tests.support.docker_engine import docker_engine
from tests.support.fleet import succeeded
from tests.support.host_container import CACHE
from tests.support.lab_operator import Operator

HOSTS = 20
REPEATS = 3
SIMULATED = "sim-h100x8"


def under_many_names(written: Path) -> Path:
    """Write an inventory in which the lab's simulated host has HOSTS names."""
    entry = yaml.safe_load(written.read_text())["all"]["children"]["lab_simulated"]["hosts"][SIMULATED]
    names = {
        f"gpu{number:02}": {**entry, "fleet_port": 30000 + number, "fleet_home": f"/opt/fleet-{number}"}
        for number in range(1, HOSTS + 1)
    }
    many = written.with_name("many.yml")
    many.write_text(yaml.safe_dump({"all": {"children": {"many": {"hosts": names}}}}))
    return many


def admit_all(operator: Operator) -> None:
    """Let one SSH server do what one of each host would: sshd drops some of more than ten that have not logged in."""
    server = "echo MaxStartups 100 >/etc/ssh/sshd_config.d/many.conf && systemctl reload ssh"
    operator.host(SIMULATED).root("sh", "-c", server)


class Cost(NamedTuple):
    """What a verb took, in seconds: by the clock, and of the controller's processors."""

    wall_s: float
    processor_s: float


def processor_s() -> float:
    """Return what this process's children have used of the processors so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cost(operator: Operator, inventory: Path, host: str) -> Cost:
    """Return the median cost of a doctor on a host or group."""
    walls, processors = list[float](), list[float]()
    for _ in range(REPEATS):
        before = processor_s()
        walls.append(
            seconds(lambda: succeeded(operator.invoke("doctor", f"--inventory={inventory}", f"--host={host}")))
        )
        processors.append(processor_s() - before)
    return Cost(statistics.median(walls), statistics.median(processors))


def main() -> None:
    """Print the comparisons."""
    with tempfile.TemporaryDirectory(prefix="fleet-doctor-") as name, docker_engine(CACHE) as client:
        here = Operator(client, labs.Lab(Path(name, "lab")))
        try:
            succeeded(here.invoke("lab.up", "--simulate", "h100x8"))
            admit_all(here)
            many = under_many_names(here.lab.inventory)
            one, many_hosts = cost(here, many, "gpu01"), cost(here, many, "many")
            name_of_all = f"doctor, {HOSTS} hosts"
            print(Comparison(name_of_all, many_hosts.wall_s, "one host", one.wall_s, "ratio 3 on their own"))
            print(Comparison("the controller of that", many_hosts.processor_s, "one host", one.processor_s, "ratio 3"))
        finally:
            here.invoke("lab.down", "--keep-image")


if __name__ == "__main__":
    main()
