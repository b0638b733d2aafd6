"""The bare command beside variants of it, one setting changed in each: start to ready and speed, on several GPUs.

    python3 variants.py DEPLOYED OUT --variants JSON [--gpus 0,1] [--levels 100:500] [--homes DIR] [--budget-s 600]

DEPLOYED is what `deploy --json` wrote on this machine, on the native runtime: it says which Python and which model's
files. Each GPU measures the bare command first, with nothing compiled before but what DIR has for that GPU, then takes
the next variant until none is left, with what was compiled there; a variant is compared with the bare command on the
same GPU, or, named `again` with no argument, shows how far two runs of the same differ. OUT gets results.json, written
anew after every step.
"""

import argparse
import json
import pathlib
import queue

from side_by_side import BARE, Run, at_once, bare, engine_of, home_of, pairs


def work_off(run, gpu, engine, waiting, options):
    """Measure the bare command on one GPU, then variants until none waits."""
    arguments, levels, needs_s = options.bare.split(), pairs(options.levels), options.needs_s
    with home_of(options.homes, gpu) as home:
        if not options.without_bare:
            bare(run, f"bare-gpu{gpu}", engine, arguments, levels, needs_s, home, gpu)
        while True:
            try:
                name, more = waiting.get_nowait()
            except queue.Empty:
                return
            bare(run, name, engine, [*arguments, *more.split()], levels, needs_s, home, gpu)


def main():
    """Read the variants, work them off on all GPUs, print each beside its GPU's bare command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("deployed", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--variants", required=True, help="JSON: name -> arguments, each beside the bare ones")
    parser.add_argument("--gpus", default="0")
    parser.add_argument("--levels", default="100:500")
    parser.add_argument("--bare", default=BARE)
    parser.add_argument("--needs-s", type=float, default=170, help="what one of them takes")
    parser.add_argument("--without-bare", action="store_true", help="it was measured before")
    parser.add_argument("--homes", type=pathlib.Path, help="with gpu0, gpu1, ...: homes with what was compiled before")
    parser.add_argument("--budget-s", type=float, default=600)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(options.out.absolute(), options.budget_s)
    waiting = queue.SimpleQueue()
    for variant in json.loads(options.variants).items():
        waiting.put(variant)
    engine = engine_of(options.deployed)
    at_once(lambda gpu: work_off(run, int(gpu), engine, waiting, options), options.gpus.split(","))
    for line in compared(run.results):
        print(line)


def compared(results):
    """Yield a line for each variant and level: its throughput over that of the bare command on the same GPU."""
    done = {name: found for name, found in results.items() if "levels" in found}
    for name, found in done.items():
        beside = done.get(f"bare-gpu{found['gpu']}")
        for level, row in found["levels"].items() if beside else ():
            ratio = row["output_throughput"] / beside["levels"][level]["output_throughput"]
            long = f", long prompts after {row['long']['median_ttft_ms']:.0f} ms" if "long" in row else ""
            yield f"{name} at {level}: {ratio:.3f}{long}, ready in {found['ready_s']} s beside {beside['ready_s']} s"


if __name__ == "__main__":
    main()
