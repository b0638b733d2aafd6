"""`python -m sglang.launch_server` of the replay engine."""

import sys

from sglang.replay.server import main

if __name__ == "__main__":
    main(sys.argv[1:])
