"""`python -m sglang.bench_serving` of the replay engine."""

import sys

from sglang.replay.bench import main

if __name__ == "__main__":
    main(sys.argv[1:])
