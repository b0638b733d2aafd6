"""The lengths that sglang.bench_serving draws: numpy's legacy `random.randint`, without numpy.

So the token totals of any number of prompts are known before they are asked for.
"""

import random

from devstral_fleet.catalog.schema import Workload

WORDS = 624


class LegacyRandom:
    """A Mersenne Twister seeded with one number, as `numpy.random.seed` does; bounded by masked rejection."""

    def __init__(self, seed: int) -> None:
        words = [seed]
        for index in range(1, WORDS):
            words.append((1812433253 * (words[-1] ^ (words[-1] >> 30)) + index) & 0xFFFFFFFF)
        self._twister = random.Random()  # noqa: S311 - a benchmark's lengths, no secret
        self._twister.setstate((3, (*words, WORDS), None))

    def integers(self, low: int, high: int, count: int) -> list[int]:
        """`count` numbers from low to high, both inclusive."""
        span = high - low
        mask = (1 << span.bit_length()) - 1
        drawn: list[int] = []
        while len(drawn) < count:
            value = self._twister.getrandbits(32) & mask
            if value <= span:
                drawn.append(low + value)
        return drawn


def totals(workload: Workload, num_prompts: int) -> tuple[int, int]:
    """Return the input and output tokens of all prompts: every input length is drawn before the first output length."""
    drawn = LegacyRandom(workload.seed)
    lengths = (workload.input_tokens, workload.output_tokens)
    lows = (max(int(length * workload.range_ratio), 1) for length in lengths)
    inputs, outputs = (sum(drawn.integers(low, high, num_prompts)) for low, high in zip(lows, lengths, strict=True))
    return inputs, outputs
