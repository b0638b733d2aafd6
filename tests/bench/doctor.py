"""How long `doctor` takes on many hosts beside one: `python -m tests.bench.doctor`.

Needs what the lab's tests need (`tests/setup-machine.sh`). One simulated GPU host stands in the inventory under HOSTS
names, so that this machine answers for all of them: on hosts of their own the ratio is lower.
"""

import tempfile
from pathlib import Path

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
        f"gpu{number:02}": {**entry, "fleet_home": f"/opt/fleet-{number}", "fleet_port": 30000 + number}
        for number in range(1, HOSTS + 1)
    }
    many = written.with_name("many.yml")
    many.write_text(yaml.safe_dump({"all": {"children": {"many": {"hosts": names}}}}))
    return many


def main() -> None:
    """Print the comparison."""
    with tempfile.TemporaryDirectory(prefix="fleet-doctor-") as name, docker_engine(CACHE) as client:
        here = Operator(client, labs.Lab(Path(name, "lab")))
        try:
            succeeded(here.invoke("lab.up", "--simulate", "h100x8"))
            many = under_many_names(here.lab.inventory)

            def doctor_s(host: str) -> float:
                words = ("doctor", f"--inventory={many}", f"--host={host}")
                return min(seconds(lambda: succeeded(here.invoke(*words))) for _ in range(REPEATS))

            one_s, all_s = doctor_s("gpu01"), doctor_s("many")
            print(Comparison(f"doctor, {HOSTS} hosts", all_s, "one host", one_s, "ratio 3"))
        finally:
            here.invoke("lab.down", "--keep-image")


if __name__ == "__main__":
    main()
