"""Install torch from what pip's own configuration offers, else from the index that the catalog names.

    python install_torch.py REQUIREMENT INDEX

Run by the environment's own Python. A site that offers the CPU build (a find-links folder, a mirror) is asked first and
alone; the index is asked only when the site has no such file. Without its dependencies: the lock pins those.
"""

import subprocess
import sys

PIP = [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check"]
INSTALL = [*PIP, "install", "--no-deps", "--no-compile", "--retries", "2", "--timeout", "20"]


def install(*options):
    """Return pip's exit status and the last lines of its errors."""
    done = subprocess.run([*INSTALL, *options], capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
    return done.returncode, "; ".join(lines[-2:])


def main():
    """Try both ways; say both reasons when neither works."""
    requirement, index = sys.argv[1:]
    status, configured = install(requirement)
    if status == 0:
        return
    status, indexed = install("--index-url", index, requirement)
    if status:
        sys.exit(
            f"{requirement} could not be installed. From pip's own configuration: {configured}. From {index}: {indexed}"
        )


if __name__ == "__main__":
    main()
