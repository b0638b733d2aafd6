"""The lengths that bench_serving draws: numpy's legacy generator, bit for bit, without numpy."""

import random
from collections.abc import Callable

STATE_WORDS = 624


def generator(seed: int) -> Callable[[], int]:
    """Return a source of 32-bit numbers equal to the one behind `numpy.random.seed(seed)`.

    Both are Mersenne Twisters and differ in how they are seeded, so Python's gets the state that numpy would make.
    """
    words = [seed & 0xFFFFFFFF]
    for index in range(1, STATE_WORDS):
        previous = words[-1]
        words.append((1812433253 * (previous ^ (previous >> 30)) + index) & 0xFFFFFFFF)
    twister = random.Random()  # noqa: S311 - lengths, not secrets
    twister.setstate((3, (*words, STATE_WORDS), None))
    return lambda: twister.getrandbits(32)


def draw(next_number: Callable[[], int], full: int, ratio: float, count: int) -> list[int]:
    """Draw `count` lengths from max(int(full * ratio), 1) to `full`, as `numpy.random.randint` draws them."""
    low = max(int(full * ratio), 1)
    width = full - low
    mask = (1 << width.bit_length()) - 1
    drawn: list[int] = []
    while width and len(drawn) < count:
        number = next_number() & mask
        if number <= width:
            drawn.append(low + number)
    return drawn or [low] * count


def sample(seed: int, ratio: float, input_len: int, output_len: int, count: int) -> list[tuple[int, int]]:
    """Return (input tokens, output tokens) of each prompt, for the dataset random-ids."""
    next_number = generator(seed)
    inputs = draw(next_number, input_len, ratio, count)
    return list(zip(inputs, draw(next_number, output_len, ratio, count)))
