"""Measure an all-reduce over this host's GPUs by the engine's own PyTorch, and say the result as one line of JSON.

    python3 - GPUS MIB ROUNDS

NCCL on NVIDIA's GPUs, RCCL on AMD's. The bus bandwidth is what NVIDIA's nccl-tests call so: 2 (n - 1) / n times the
bytes of one GPU by the time, in gigabytes (10^9 bytes) a second.
"""

import json
import multiprocessing
import sys
import tempfile
import time

import torch
from torch import distributed

LIMIT_S = 120


def work(rank, gpus, store, mib, rounds):
    """Be one GPU's process; the first one prints."""
    torch.cuda.set_device(rank)
    distributed.init_process_group("nccl", init_method=f"file://{store}", rank=rank, world_size=gpus)
    data = torch.ones(mib << 19, dtype=torch.bfloat16, device="cuda")
    distributed.all_reduce(data)
    right = bool((data == gpus).all())
    data.zero_()
    for _ in range(3):
        distributed.all_reduce(data)
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(rounds):
        distributed.all_reduce(data)
    torch.cuda.synchronize()
    seconds = (time.perf_counter() - began) / rounds
    if rank == 0:
        speed = 2 * (gpus - 1) / gpus * (mib << 20) / seconds / 1e9
        print(json.dumps({"bus_gb_s": round(speed, 1), "right": right}), flush=True)
    distributed.destroy_process_group()


def main(gpus, mib, rounds):
    """Start a process for each GPU; return 1 where one failed or did not end."""
    with tempfile.TemporaryDirectory() as folder:
        words = (gpus, f"{folder}/store", mib, rounds)
        # A fork keeps the script, which came by standard input; no GPU was touched before it.
        fork = multiprocessing.get_context("fork")
        each = [fork.Process(target=work, args=(rank, *words)) for rank in range(gpus)]
        for process in each:
            process.start()
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline and {process.exitcode for process in each} <= {None, 0}:
            if all(process.exitcode == 0 for process in each):
                return 0
            time.sleep(0.1)
        for process in each:  # one failed, and the others would wait for it
            process.kill()
            process.join()
        return 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
