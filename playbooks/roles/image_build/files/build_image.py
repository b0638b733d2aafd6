"""Build an image with the Docker engine of the machine this runs on; say what was built, and by which builder.

    python3 build_image.py [--check] DESCRIPTION_JSON

Buildx is used where Docker has it, else the classic builder: the Dockerfiles ask for nothing that one of them lacks.
The build has the machine's own network: a proxy or an index on its loopback is reached too. Standard library only.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys
import time
import types

KEPT_LINES = 200
SHOWN_LINES = 20
DRESS = re.compile(r"^#\d+ (?:\d+\.\d+ )?|\x1b\[[0-9;]*m")
"""What is not the line itself: a step's number and seconds of buildx, the classic builder's colours."""


def builder():
    """Return (the builder's name, the words that call it, what it needs of the environment)."""
    words = ["docker", "buildx", "version"]
    found = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if found.returncode == 0:
        return "buildx", ["docker", "buildx", "build", "--load", "--progress=plain"], {}
    return "the classic builder", ["docker", "build", "--force-rm"], {"DOCKER_BUILDKIT": "0"}


def command(words, wanted):
    """Return the whole command; a proxy is named without its value, which the builder takes from its environment."""
    options = ["--network=host", f"--tag={wanted.reference}"]
    options += [f"--build-arg={name}={value}" for name, value in sorted(wanted.arguments.items())]
    options += [f"--build-arg={name}" for name in wanted.inherited]
    options += [f"--label={name}={value}" for name, value in sorted(wanted.labels.items())]
    return [*words, *options, "-"]


def run(words, wanted, settings):
    """Build; return the exit status and the last lines of what was said."""
    last = collections.deque(maxlen=KEPT_LINES)
    with open(wanted.context, "rb") as context, open(wanted.log or os.devnull, "a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command(words, wanted),
            env={**os.environ, **settings},
            stdin=context,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        for line in process.stdout:
            log.write(line)
            log.flush()
            last.append(DRESS.sub("", line.rstrip()))
        return process.wait(), list(last)


def reason(lines):
    """Return why a build failed: what a step called its error, else the builder's last word."""
    own = [line for line in lines if line.startswith(("ERROR", "E: ")) and "failed to solve" not in line]
    said = own or [line for line in lines if line.strip()] or ["the builder said nothing"]
    return said[-1].removeprefix("ERROR: ")


def main():
    """Parse, build, and print the one change; --check foresees it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("wanted", type=lambda text: types.SimpleNamespace(**json.loads(text)))
    options = parser.parse_args()
    name, words, settings = builder()
    if options.check:
        print(f"built {options.wanted.reference} with {name}")
        return
    begun = time.monotonic()
    status, lines = run(words, options.wanted, settings)
    if status:
        sys.exit("\n".join([*lines[-SHOWN_LINES:], f"ERROR: {reason(lines)}"]))
    print(f"built {options.wanted.reference} with {name} in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
