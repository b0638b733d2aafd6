"""Install the bundle that lies beside it on this GPU machine, then deploy, measure and compare: all of this folder.

    python3 run.py [--to /srv/fleet] [--out /srv/out] [--budget-s 1500] [--variants JSON] [--keys JSON] [--beside JSON]

One GPU: side_by_side.py. Two or more: several_gpus.py with Devstral 2 on as many as it needs, and, where two more are
left, the replicas on those at the same time; or, with --beside, the bare command beside our deploy on each of them,
which has the keys that the JSON gives for its GPU, then images.py and mixed.py. Then, in the time that is left,
variants.py on all of them. OUT has a folder and a log for each.
"""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent.absolute()
NEEDED = {"h100": 4, "h200": 2}
"""GPUs that Devstral 2 takes of a kind, as the catalog says."""
PARTS_S = 330
"""What the variants take at least: an engine with nothing compiled before, measured, and one more."""
KEPT_S = 170
"""And where an engine has started there before, and been measured."""
MARKER_S = 300
VARIANTS = {
    "again": "",
    "prefill-graphs": "--cuda-graph-backend-prefill breakable",
    "mixed-prefill": "--enable-mixed-chunk",
    "both": "--cuda-graph-backend-prefill breakable --enable-mixed-chunk",
    "metrics": "--enable-metrics",
    "fp8-kv": "--kv-cache-dtype fp8_e4m3",
    "chunk-2048": "--chunked-prefill-size 2048",
    "flashinfer": "--attention-backend flashinfer",
    "steps-4": "--num-continuous-decode-steps 4",
}


def gpus_here():
    """Return the catalog's name of this machine's GPUs, and their number."""
    words = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    names = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\n")
    names = [name for name in names if name.strip()]
    (kind,) = {kind for kind in NEEDED for name in names if kind.upper() in name}
    return kind, len(names)


def install(site, keys):
    """Install the bundle, and say in the inventory what this machine is."""
    subprocess.run([sys.executable, str(HERE / "install.py"), "--to", str(site)], check=True)
    path = site / "inventory" / "host_vars" / "local.yml"
    written = json.loads(path.read_text().split("\n", 1)[1])
    path.write_text(json.dumps({**written, **keys}, indent=1))


def start(out, name, *words):
    """Start a program of this folder; its log is beside its folder."""
    with open(out / f"{name}.log", "wb") as log:
        return subprocess.Popen([sys.executable, *words], cwd=HERE, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def wait_for_environment(home, program):
    """Wait until the first deploy has made the engine's environment, which the others share, or has ended."""
    for _ in range(MARKER_S):
        if list(home.glob("environments/*/.complete")):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(1)
            return


def main():
    """Install, measure, compare; what does not fit into the time is left out, and said."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", type=pathlib.Path, default=pathlib.Path("/srv/fleet"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("/srv/out"))
    parser.add_argument("--budget-s", type=float, default=1500)
    parser.add_argument("--variants", default=json.dumps(VARIANTS))
    parser.add_argument("--levels", default="100:500")
    parser.add_argument("--keys", default="{}", help="JSON: keys of the host that win")
    parser.add_argument("--beside", help="JSON: keys of a deploy that win, a set for each GPU")
    options = parser.parse_args()
    begun, out = time.monotonic(), options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    kind, count = gpus_here()
    home = options.to.with_name(f"{options.to.name}-home")
    keys = {"fleet_hardware": kind, "fleet_gpu_count": count, "fleet_model": "devstral-small-2"}
    keys |= {"fleet_load_format": "dummy", "fleet_provision": False, "fleet_home": str(home)}
    install(options.to, {**keys, **json.loads(options.keys)})

    def left():
        return str(options.budget_s - (time.monotonic() - begun))

    site, first, homes, needs_s = str(options.to), min(NEEDED[kind], count), (), PARTS_S
    every = ",".join(map(str, range(count)))
    if options.beside:
        words = ("--gpus", every, "--order", "beside", "--each", options.beside, "--memory-gib", "0")
        start(out, "each", "several_gpus.py", site, str(out / "each"), *words, "--budget-s", left()).wait()
        homes, needs_s = ("--homes", str(out / "each" / "homes")), KEPT_S
        deployed = out / "each" / "deploy-gpu0.json"
        for program in ("images", "mixed"):
            start(out, program, f"{program}.py", str(deployed), str(out / program), "--gpus", every, *homes).wait()
    elif count == 1:
        start(out, "alone", "side_by_side.py", site, str(out / "alone"), "--budget-s", left()).wait()
        deployed = out / "alone" / "deploy.json"
    else:
        several = ("several_gpus.py", site)
        large = "large,pair" if count - first >= 2 else "large,replicas,pair"
        words = ("--gpus", ",".join(map(str, range(first))), "--order", large, "--budget-s", left())
        running = [start(out, "large", *several, str(out / "large"), *words)]
        if count - first >= 2:
            wait_for_environment(home, running[0])
            rest = ",".join(map(str, range(first, first + 2)))
            words = ("--gpus", rest, "--order", "replicas", "--memory-gib", "0", "--budget-s", left())
            running.append(start(out, "replicas", *several, str(out / "replicas"), *words))
        for program in running:
            program.wait()
        deployed = next(iter(sorted(out.glob("*/replicas-deploy-*.json"))))
    if float(left()) > needs_s:
        words = ("--gpus", every, "--variants", options.variants, "--levels", options.levels, *homes)
        words += ("--without-bare",) if homes else ()
        start(out, "variants", "variants.py", str(deployed), str(out / "variants"), *words, "--budget-s", left()).wait()


if __name__ == "__main__":
    main()
