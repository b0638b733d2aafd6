"""Remove an environment that was never finished, and end what still writes into it.

    python3 clear_unfinished.py DIRECTORY

A dropped connection or a killed controller leaves its pip running on the host; two of them would mix their files.
"""

import os
import pathlib
import shutil
import signal
import sys
import time

PATIENCE_S = 10
INTERVAL_S = 0.1


def writers(directory):
    """Return the processes whose program lies in the directory."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words[0].startswith(f"{directory}/"):
            found.append(int(path.name))
    return found


def end(directory):
    """Ask the writers to end, and make them end when they do not."""
    deadline = time.monotonic() + PATIENCE_S
    number = signal.SIGTERM
    while left := writers(directory):
        for pid in left:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        time.sleep(INTERVAL_S)


def main():
    """End the writers, remove the directory, make its parent."""
    directory = pathlib.Path(sys.argv[1])
    end(directory)
    if directory.exists():
        shutil.rmtree(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)


if __name__ == "__main__":
    main()
