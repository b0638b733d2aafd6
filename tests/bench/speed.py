"""How fast the toolkit is beside what it stands on: `python -m tests.bench.speed [PART...]`.

Of the parts, `commands` (a minute) needs nothing, nor does `tasks` (a minute): twenty programs by our module, and by
Ansible's. Nor does `doctor` (half a minute): many hosts beside one, each of which costs this machine next to nothing
(`recorded_hosts.py`), by the clock and in the controller's processor time.
`bench` (four minutes) measures beside the replay engine what the way around a benchmark costs (`measuring.py`).
`provision` (three minutes) makes a host of the lab, in this machine's Docker engine or in one that it starts
(`converged.py`). `deploy` (several minutes, the real engine) makes a host of its own on this machine under a temporary
directory: a first deploy, the same by hand (`by_hand.py`), and a deploy that changes nothing.
`report` (a minute) writes the report of a hundred hosts and opens it in this machine's Chromium, where there is one
(`written_report.py`).
Prints a line each: measured, reference, ratio, and the aim. It judges nothing; machines differ.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.bench.by_hand import install_and_start
from tests.bench.converged import converged_host
from tests.bench.measuring import both_s
from tests.bench.recorded_hosts import recorded_hosts
from tests.bench.written_report import DRAWN, PAGE_MB, POINTS, TASK_MS, written_report
from tests.support.ports import free_port
from tests.support.tree import ROOT, program

REPEATS = 7
HOSTS = TASKS = 20
NOT_READY = 5
"""Exit code of a doctor that found something; this machine, whose process 1 it sees, need not be ready."""
INVENTORY = ROOT / "inventory" / "hosts.yml"


class Comparison(NamedTuple):
    """One line of the output; times in seconds."""

    name: str
    measured_s: float
    reference: str
    reference_s: float
    aim: str

    def __str__(self) -> str:
        ratio = self.measured_s / self.reference_s if self.reference_s else float("nan")
        beyond = self.measured_s - self.reference_s
        return (
            f"{self.name:<28}{self.measured_s:>8.2f} s   {self.reference:<28}{self.reference_s:>8.2f} s"
            f"   ratio {ratio:>5.2f}   beyond {beyond:>+7.2f} s   aim {self.aim}"
        )


def seconds(action: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def run(argv: Sequence[str], cwd: Path = ROOT) -> str:
    """Return what a command prints; its own words are the message where it fails."""
    result = subprocess.run(argv, cwd=cwd, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(argv)} ended with {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def median_s(argv: Sequence[str], cwd: Path = ROOT) -> float:
    """Return the median of several runs, the first one (cold caches) left out."""
    times = [seconds(lambda: run(argv, cwd)) for _ in range(REPEATS + 1)]
    return statistics.median(times[1:])


def compare_commands() -> Iterator[Comparison]:
    """Compare `invoke --list` with an empty tasks.py, and `invoke plan` with ansible-inventory alone."""
    with tempfile.TemporaryDirectory() as empty:
        (Path(empty) / "tasks.py").write_text(
            "from invoke import task\n\n\n@task\ndef nothing(c):\n    'Do nothing.'\n"
        )
        empty_s = median_s([program("invoke"), "--list"], Path(empty))
    listed_s = median_s([program("invoke"), "--list"])
    yield Comparison("invoke --list", listed_s, "the same, empty tasks.py", empty_s, "ratio 2")
    inventory_s = median_s([program("ansible-inventory"), "-i", str(INVENTORY), "--list"])
    planned_s = median_s([program("invoke"), "plan", "--host", "local"])
    yield Comparison("invoke plan", planned_s, "ansible-inventory --list", inventory_s, "0.5 s beyond")


def compare_tasks() -> Iterator[Comparison]:
    """Compare programs that our module runs with the same by Ansible's, the start of a playbook taken off both."""
    words = ["env", f"ANSIBLE_CONFIG={ROOT / 'ansible.cfg'}", program("ansible-playbook")]
    words += ["--inventory", "localhost,", "--connection", "local"]
    words += ["--extra-vars", f"ansible_python_interpreter={sys.executable}"]
    took = {}
    with tempfile.TemporaryDirectory(prefix="fleet-speed-") as folder:
        for module in (None, "fleet_program", "ansible.builtin.command"):
            tasks = [{module: {"argv": ["true"]}}] * TASKS if module else []
            file = Path(folder) / "play.json"
            file.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
            took[module] = median_s([*words, str(file)])
    ours, ansibles = (took[module] - took[None] for module in ("fleet_program", "ansible.builtin.command"))
    yield Comparison(f"{TASKS} programs", ours, "by ansible.builtin.command", ansibles, "ratio 0.6")


def doctor(inventory: Path, pattern: str, count: int) -> tuple[float, float]:
    """Look at hosts; return the seconds by the clock, and those of the controller's processors."""

    def used_s() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    words = ("doctor", "--json", "--host", pattern, "--inventory", str(inventory))
    before, start = used_s(), time.perf_counter()
    ended = subprocess.run([program("invoke"), *words], cwd=ROOT, capture_output=True, text=True)
    took = time.perf_counter() - start, used_s() - before
    seen = json.loads(ended.stdout) if ended.returncode in {0, NOT_READY} else {}
    looked = [name for name, found in seen.items() if any(each["check"] == "gpu-memory" for each in found)]
    if len(looked) != count:
        raise SystemExit(f"doctor ended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return took


def compare_doctors() -> Iterator[Comparison]:
    """Compare a doctor on HOSTS hosts with one on a single host, the first one, which records, left out."""
    with tempfile.TemporaryDirectory(prefix="fleet-speed-") as name, recorded_hosts(Path(name), HOSTS) as inventory:
        doctor(inventory, "all", HOSTS)
        pairs = [(doctor(inventory, "all", HOSTS), doctor(inventory, "gpu01", 1)) for _ in range(REPEATS)]
        every, one = (tuple(map(statistics.median, zip(*runs, strict=True))) for runs in zip(*pairs, strict=True))
        yield Comparison(f"doctor, {HOSTS} hosts", every[0], "one host", one[0], "ratio 3")
        yield Comparison("its processor time", every[1], "one host", one[1], "ratio 3")


def compare_provisions() -> Iterator[Comparison]:
    """Compare a provision that finds nothing missing with Ansible tasks that do nothing, and with pyinfra's checks."""
    with converged_host() as host:
        host.provision()
        ways = {"nothing": host.nothing(), "pyinfra": host.pyinfra()}
        for argv in ways.values():
            run(argv)
        rounds = [
            (seconds(host.provision), *(seconds(partial(run, argv)) for argv in ways.values())) for _ in range(REPEATS)
        ]
        ours, nothing, pyinfra = map(statistics.median, zip(*rounds, strict=True))
        ran, left_out = host.tasks().count(True), host.tasks().count(False)
        name = "provision, changes nothing"
        yield Comparison(name, ours, f"{ran} pings, {left_out} left out", nothing, "ratio 2")
        yield Comparison(name, ours, "pyinfra, its packages, Docker", pyinfra, "none: how far")


def deploy(inventory: Path) -> dict[str, float]:
    """Deploy the bench's host; return the seconds of each phase and of the whole command as 'total'."""
    start = time.perf_counter()
    text = run([program("invoke"), "deploy", "--host", "bench", "--inventory", str(inventory), "--json"])
    total = time.perf_counter() - start
    host = json.loads(text)["hosts"][0]
    return {**{phase["name"]: phase["seconds"] for phase in host["phases"]}, "total": total}


def without_proof(phases: dict[str, float]) -> float:
    """Return the seconds of a deploy beside its smoke checks and benchmark."""
    proof = sum(took for name, took in phases.items() if name.split()[0] in {"smoke", "bench"})
    return phases["total"] - proof


def bench_inventory(folder: Path, port: int) -> Path:
    """Write an inventory of one host `bench`: this machine, a home of its own."""
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "fleet_accelerator": "cpu",
        "fleet_model": "devstral-tiny",
        "fleet_runtime": "native",
        "fleet_home": str(folder / "home"),
        "fleet_port": port,
    }
    path = folder / "hosts.json"
    path.write_text(json.dumps({"all": {"hosts": {"bench": host}}}))
    return path


def compare_deploys() -> Iterator[Comparison]:
    """Compare a first deploy with the same by hand, and a deploy that changes nothing with nothing."""
    with tempfile.TemporaryDirectory(prefix="fleet-speed-") as name:
        folder = Path(name)
        inventory = bench_inventory(folder, free_port())
        stop = [program("invoke"), "stop", "--host", "bench", "--inventory", str(inventory)]
        try:
            first = deploy(inventory)
            again = deploy(inventory)
            plan = json.loads((folder / "home" / "current" / "release.json").read_text())["plan"]
        finally:
            run(stop)
        yield Comparison("deploy, changes nothing", without_proof(again), "nothing", 0.0, "10 s")
        by_hand_s = seconds(lambda: install_and_start(folder / "by-hand", plan))
        yield Comparison("deploy, first", without_proof(first), "the same by hand", by_hand_s, "15 s beyond")


def compare_reports() -> Iterator[Comparison | str]:
    """Compare a report of many hosts with its JSON alone, and say how large its page is and how it opens."""
    for gpus in DRAWN:
        seen = written_report(gpus)
        name = f"report, {seen.hosts} x {POINTS} points"
        yield Comparison(name, seen.written_s, f"its JSON alone, {gpus} GPUs each", seen.json_s, "10 s beyond")
        opened = f"{seen.longest_task_ms:.0f} ms" if seen.longest_task_ms else "no chromium"
        yield f"  page {seen.page_mb:.2f} MB   aim {PAGE_MB} MB   longest task {opened}   aim {TASK_MS} ms"


def compare_benchmarks() -> Iterator[Comparison]:
    """Compare a measurement with the benchmark's own processes."""
    with tempfile.TemporaryDirectory(prefix="fleet-speed-") as name:
        measured_s, bare_s = both_s(Path(name))
        yield Comparison("bench, replay engine", measured_s, "bench_serving alone", bare_s, "ratio 1.02")


def main(words: list[str]) -> None:
    """Print the comparisons that were asked for; without a word, the quick ones."""
    parts: dict[str, Callable[[], Iterator[Comparison | str]]] = {
        "commands": compare_commands,
        "tasks": compare_tasks,
        "doctor": compare_doctors,
        "bench": compare_benchmarks,
        "provision": compare_provisions,
        "deploy": compare_deploys,
        "report": compare_reports,
    }
    for word in words or ["commands"]:
        for line in parts[word]():
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
