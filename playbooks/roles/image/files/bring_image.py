"""Have an image in this host's Docker engine; say what was brought.

    python3 bring_image.py [--check] REFERENCE SOURCE

Docker pulls SOURCE, layer by layer, and only those that it lacks; then the image gets the name REFERENCE. Each line
printed is one change, made or (with --check) only foreseen; no line, no change.
"""

import argparse
import subprocess
import sys


def docker(*words):
    """Return a command's exit status and what it said."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return done.returncode, (done.stdout or done.stderr).strip()


def require(*words):
    """Run a command that must succeed; end with its words where it does not."""
    status, said = docker(*words)
    if status:
        sys.exit(f"docker {words[0]}: {said}")


def main():
    """Look, pull, name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("reference")
    parser.add_argument("source")
    options = parser.parse_args()
    if docker("image", "inspect", "--format", "{{.Id}}", options.reference)[0] == 0:
        return
    if not options.check:
        require("pull", "--quiet", options.source)
        if options.source != options.reference:
            require("tag", options.source, options.reference)
            require("rmi", options.source)  # the name alone: it tells where the image came from, not what it is
    print(f"brought {options.reference}")


if __name__ == "__main__":
    main()
