"""numpy's legacy `random.randint`, without numpy: what sglang.bench_serving draws lengths with."""

import random

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
