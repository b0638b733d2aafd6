"""For Python processes with this folder in PYTHONPATH: SGLang's random weights get a spread that tells inputs apart.

SGLang draws every number of a `--load-format dummy` model from one narrow range, the norms and scales included, so that
every answer is the same. Here norms are 1, matrices keep the size of what passes through them, and each has a draw of
its own. The model stays noise, but its log-probabilities depend on what was asked. Steps in which prompts and running
answers are computed together leave a line in the server's log, which SGLang itself does not write.
"""

import importlib.abc
import importlib.util
import math
import sys
import zlib

MIXED = "a step is mixed"
SEED = 1234
INPUT_SCALE = 0.03
"""Of activations of an FP8 matrix: 448 times that is more than what passes."""
WEIGHT_SCALE = math.sqrt(3 / 5120)
"""Of an FP8 matrix whose numbers are from -1 to 1: what passes keeps its size, at the model's width of 5120."""


def spread_of(name, shape, bits):
    """Return (low, high) of a parameter's numbers."""
    if name.endswith(("k_scale", "v_scale")):
        return 1.0, 1.0
    if name.endswith("input_scale"):
        return INPUT_SCALE, INPUT_SCALE
    if name.endswith("scale"):
        return WEIGHT_SCALE, WEIGHT_SCALE
    if bits < 16 or "embed_tokens" in name:
        return -1.0, 1.0
    if len(shape) < 2:
        return (1.0, 1.0) if name.endswith("weight") else (0.0, 0.0)
    width = math.sqrt(3 / math.prod(shape[1:]))
    return -width, width


def fill(model, *_arguments, **_named):
    """Take the place of initialize_dummy_weights."""
    import torch

    for name, parameter in model.state_dict().items():
        if not torch.is_floating_point(parameter):
            continue
        bits = torch.finfo(parameter.dtype).bits
        low, high = spread_of(name, tuple(parameter.shape), bits)
        generator = torch.Generator(device=parameter.data.device)
        generator.manual_seed(SEED + zlib.crc32(name.encode()) % 10**6)
        drawn = parameter.data.to(torch.float16) if bits < 16 else parameter.data
        drawn.uniform_(low, high, generator=generator) if low < high else drawn.fill_(low)
        if bits < 16:
            parameter.data.copy_(drawn.to(parameter.dtype))


def spread(module):
    """Put `fill` into SGLang's module of dummy weights."""
    module.initialize_dummy_weights = fill


def tell_mixed(module):
    """Let SGLang's batches say that they are mixed."""
    mix = module.ScheduleBatch.mix_with_running

    def mix_and_tell(batch, running):
        print(MIXED, file=sys.stderr, flush=True)
        return mix(batch, running)

    module.ScheduleBatch.mix_with_running = mix_and_tell


CHANGES = {"sglang.srt.model_loader.weight_utils": spread, "sglang.srt.managers.schedule_batch": tell_mixed}


class Finder(importlib.abc.MetaPathFinder):
    """Loads SGLang's modules as they are, then changes them."""

    def find_spec(self, name, *_places):
        change = CHANGES.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
