"""Devstral 2 over two GPUs of one machine, then the 24B on each of them and over both: deployed, measured, compared.

    python3 two_gpus.py SITE OUT [--budget-s 1400] [--memory-gib 70] [--keys JSON]

SITE is an installation of a bundle on this machine, on the native runtime, whose host `local` says what the machine is
(`fleet_hardware`, `fleet_provision: false`, ...); its keys go to all hosts here. OUT gets results.json, written anew
after every step, and each verb's own JSON. A step is left out where the time that it takes is no longer there.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import threading

from side_by_side import Run, invoke

SMALL, LARGE = "devstral-small-2", "devstral-2"
SITES = {
    "large": {"both": {"model": LARGE, "tensor_parallel": 2}},
    "replicas": {
        "first": {"model": SMALL, "gpus": [0], "tensor_parallel": 1},
        "second": {"model": SMALL, "gpus": [1], "tensor_parallel": 1, "port": 30001, "home": "second"},
    },
    "pair": {"both": {"model": SMALL, "tensor_parallel": 2}},
}
"""One engine over both GPUs, two of one GPU each, one of the small model over both. Keys beside those of `local`."""
FILL = """
import sys
held = [bytearray(b"x") * 2**30 for _ in range(int(sys.argv[1]))]
print(open("/proc/meminfo").readline().strip())
"""


def write_inventory(out, name, local, home, last):
    """Write the inventory of one of SITES; return its path. `last`: keys that win."""
    hosts = {}
    for host, keys in SITES[name].items():
        own = {f"fleet_{key}": value for key, value in keys.items()}
        place = f"{home}-second" if keys.get("home") else home
        hosts[host] = {**local, **own, "fleet_home": place, "fleet_gpu_count": 2, **last}
    path = out / "sites" / name / "hosts.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"all": {"hosts": hosts}}, indent=1))
    return path


def share_environments(home):
    """Let the second home have the first one's engine environments: the same files, installed once."""
    second = pathlib.Path(f"{home}-second")
    second.mkdir(parents=True, exist_ok=True)
    if not (second / "environments").exists():
        (second / "environments").symlink_to(pathlib.Path(home) / "environments")


def on_every(site, out, inventory, name, verb, *words):
    """Run a verb on each host of a site, all at the same time; what each came to."""
    ended = {}

    def one(host):
        where = ("--host", host, "--inventory", str(inventory))
        try:
            ended[host] = invoke(site, out, f"{name}-{host}-{verb}", verb, *where, *words)
        except ValueError as error:  # no JSON: its log says why
            ended[host] = {"failed": str(error)}

    threads = [threading.Thread(target=one, args=(host,)) for host in SITES[name]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def fill_memory(gib):
    """Touch memory, so that a machine whose memory grows with its use has it."""
    done = subprocess.run([sys.executable, "-c", FILL, str(gib)], capture_output=True, text=True, timeout=300)
    return {"exit_code": done.returncode, "said": (done.stdout + done.stderr).strip()[-200:]}


def main():
    """Deploy and measure each site in its turn; what fails ends that site alone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("site", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--order", default="large,replicas,pair")
    parser.add_argument("--workload", default="chat")
    parser.add_argument("--memory-gib", type=int, default=70)
    parser.add_argument("--budget-s", type=float, default=1400)
    parser.add_argument("--keys", default="{}", help="JSON: keys of every host that win; null removes one")
    options = parser.parse_args()
    site, out = options.site.absolute(), options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    run = Run(out, options.budget_s)
    listed = subprocess.run(
        [".venv/bin/ansible-inventory", "-i", "inventory", "--host", "local"], cwd=site, capture_output=True, text=True
    )
    local = json.loads(listed.stdout)
    home = str(pathlib.Path(local["fleet_home"]).expanduser())
    run.step("memory", 0, lambda: fill_memory(options.memory_gib))
    for name in options.order.split(","):
        inventory = write_inventory(out, name, local, home, json.loads(options.keys))
        if name == "replicas":
            share_environments(home)
        serve(run, site, inventory, name, options.workload)


def serve(run, site, inventory, name, workload):
    """Deploy a site's hosts at the same time, measure them at the same time, each point once, and stop them."""

    def every(*words):
        return lambda: on_every(site, run.out, inventory, name, *words)

    run.step(f"{name}: deploy", 200, every("deploy", "--no-bench"))
    run.step(f"{name}: bench", 170, every("bench", "--workload", workload, "--repeats", "1"))
    run.step(f"{name}: stop", 0, every("stop"))


if __name__ == "__main__":
    main()
