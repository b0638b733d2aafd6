"""Make a small environment and install supervisord into it, with the pip of the environment that runs this.

    python install_supervisor.py DIRECTORY REQUIREMENT

An environment without its own pip is made ten times faster. It is the host's Python's, not the engine environment's
child: supervisord outlives the environments it starts engines from.
"""

import subprocess
import sys
import venv

PIP = [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check"]


def main():
    """Make, then install."""
    directory, requirement = sys.argv[1:]
    venv.create(directory, with_pip=False, symlinks=True)
    subprocess.run([*PIP, "--python", f"{directory}/bin/python", "install", "--no-deps", requirement], check=True)


if __name__ == "__main__":
    main()
