"""Devstral 2 over GPUs of one machine, the 24B on each of them and over all of them: deployed, measured, compared.

    python3 several_gpus.py SITE OUT [--gpus 0,1] [--order large,replicas,pair] [--budget-s 1400]
    python3 several_gpus.py SITE OUT --order beside --each '[{}, {"fleet_profiles": ["prefill-graphs"]}]'

The second one is side_by_side.py on each GPU at the same time, with keys of its own for each of them.

Several of these may run on one machine at the same time, each on GPUs of its own, once the engine's environment is
complete: its folder is the same for all of them.

SITE is an installation of a bundle on this machine, on the native runtime, whose host `local` says what the machine is
(`fleet_hardware`, `fleet_provision: false`, ...); its keys go to all hosts here. OUT gets results.json, written anew
after every step, and each verb's own JSON. A step is left out where the time that it takes is no longer there.
"""

import argparse
import json
import pathlib
import subprocess
import sys

from side_by_side import BARE, LEVELS, Run, at_once, bare, engine_of, home_of, invoke, pairs

SMALL, LARGE = "devstral-small-2", "devstral-2"
SITES = ("large", "replicas", "pair")
"""One engine of the large model over all GPUs, one of the small model on each of them, one over all of them."""
BESIDE = "beside"
"""The small model on each of them again, beside the bare command."""
CHANGED = {"fleet_environment": {"FLEET_TRIAL": "1"}}
HOPELESS = {"fleet_health_deadline_s": 20}
"""Keys of a second release, and of a third that no engine can be ready for."""
PORT = 30000
BARE_S = 470
BESIDE_LEVELS = f"{LEVELS},64:320:8"
FILL = """
import sys
held = [bytearray(b"x") * 2**30 for _ in range(int(sys.argv[1]))]
print(open("/proc/meminfo").readline().strip())
"""


def hosts_of(name, gpus):
    """The hosts of a site, each a part of this machine: name -> keys without `fleet_`."""
    if name in ("replicas", BESIDE):
        return {f"gpu{gpu}": {"model": SMALL, "gpus": [gpu], "tensor_parallel": 1} for gpu in gpus}
    model = LARGE if name == "large" else SMALL
    return {"gpus" + "-".join(map(str, gpus)): {"model": model, "gpus": gpus, "tensor_parallel": len(gpus)}}


def write_inventory(out, name, gpus, local, home, last):
    """Write the inventory of one of SITES; return its path and hosts. `last`: keys that win, one set for each GPU."""
    hosts = {}
    for (host, keys), wins in zip(hosts_of(name, gpus).items(), last, strict=False):
        own = {f"fleet_{key}": value for key, value in keys.items()}
        place = f"{home}-{host}"
        share_environments(home, place)
        hosts[host] = {**local, **own, "fleet_home": place, "fleet_port": PORT + keys["gpus"][0], **wins}
    path = out / "sites" / name / "hosts.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"all": {"hosts": hosts}}, indent=1))
    return path, list(hosts)


def share_environments(home, place):
    """Let a home have the engine environments of the machine's own: the same files, installed once."""
    for folder in (pathlib.Path(home) / "environments", pathlib.Path(place)):
        folder.mkdir(parents=True, exist_ok=True)
    if not (pathlib.Path(place) / "environments").exists():
        (pathlib.Path(place) / "environments").symlink_to(pathlib.Path(home) / "environments")


def on_every(site, out, inventory, hosts, step, verb, *words):
    """Run a verb on each host of a site, all at the same time; what each came to."""
    ended = {}

    def one(host):
        where = ("--host", host, "--inventory", str(inventory))
        try:
            ended[host] = invoke(site, out, f"{step}-{host}", verb, *where, *words)
        except ValueError as error:  # no JSON: its log says why
            ended[host] = {"failed": str(error)}

    at_once(one, hosts)
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
    parser.add_argument("--gpus", default="0,1")
    parser.add_argument("--order", default=",".join(SITES))
    parser.add_argument("--workload", default="chat")
    parser.add_argument("--memory-gib", type=int, default=70)
    parser.add_argument("--budget-s", type=float, default=1400)
    parser.add_argument("--keys", default="{}", help="JSON: keys of every host that win; null removes one")
    parser.add_argument("--each", help="JSON: such keys, one set for each GPU, for hosts of one GPU each")
    options = parser.parse_args()
    site, out = options.site.absolute(), options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    run = Run(out, options.budget_s)
    listed = subprocess.run(
        [".venv/bin/ansible-inventory", "-i", "inventory", "--host", "local"], cwd=site, capture_output=True, text=True
    )
    local = json.loads(listed.stdout)
    home = str(pathlib.Path(local["fleet_home"]).expanduser())
    gpus = [int(word) for word in options.gpus.split(",")]
    run.step("memory", 0, lambda: fill_memory(options.memory_gib))
    last = json.loads(options.each) if options.each else [json.loads(options.keys)] * len(gpus)
    for name in options.order.split(","):
        inventory, hosts = write_inventory(out, name, gpus, local, home, last)
        if name == BESIDE:
            together = write_inventory(out, "pair", gpus, local, home, [{}]) if len(gpus) > 1 else None
            beside(run, site, inventory, hosts, options.workload, together)
        else:
            serve(run, site, inventory, hosts, name, options.workload)


def beside(run, site, inventory, hosts, workload, together):
    """Deploy and measure on each GPU, then the bare command there, then deploy again, with what is kept.

    In between, while nothing is loaded, GPUs are measured `together`, by the environment that the deploy has made.
    """

    def every(needs_s, title, *words):
        run.step(title, needs_s, lambda: on_every(site, run.out, inventory, hosts, title, *words))

    def command(host):
        gpu = int(host.removeprefix("gpu"))
        engine = engine_of(run.out / f"deploy-{host}.json")
        with home_of(run.out / "homes", gpu) as home:
            bare(run, f"bare-{host}", engine, BARE.split(), pairs(BESIDE_LEVELS), BARE_S, home, gpu)

    every(200, "deploy", "deploy", "--no-bench")
    every(170, "bench", "bench", "--workload", workload, "--repeats", "1")
    every(0, "stop", "stop")
    if together:
        words = ("acceptance", "doctor", "--acceptance", "quick")
        run.step("acceptance", 60, lambda: on_every(site, run.out, *together, *words))
    at_once(command, hosts)
    every(150, "deploy-again", "deploy", "--no-bench")
    every(0, "stop-again", "stop")


def serve(run, site, inventory, hosts, name, workload):
    """Deploy a site's hosts at the same time, measure them at the same time, each point once, and stop them.

    The replicas also change their release, go back to the first one, and get one that never becomes ready.
    """

    def every(needs_s, step, *words):
        title = f"{name}-{step}"
        run.step(title, needs_s, lambda: on_every(site, run.out, inventory, hosts, title, *words))

    every(200, "deploy", "deploy", "--no-bench")
    every(170, "bench", "bench", "--workload", workload, "--repeats", "1")
    if name == "replicas":
        first = inventory.read_text()
        change(inventory, CHANGED)
        every(150, "deploy-changed", "deploy", "--no-bench")
        every(150, "rollback", "rollback")
        change(inventory, HOPELESS)
        every(150, "deploy-hopeless", "deploy", "--no-bench")
        inventory.write_text(first)
        every(0, "verify", "verify")
    every(0, "stop", "stop")


def change(inventory, keys):
    """Write keys to all hosts of an inventory."""
    content = json.loads(inventory.read_text())
    content["all"]["hosts"] = {name: {**own, **keys} for name, own in content["all"]["hosts"].items()}
    inventory.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
