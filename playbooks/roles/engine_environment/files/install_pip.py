"""Install pip from a folder of wheels, by the pip in its own wheel: the interpreter may have no ensurepip.

    python install_pip.py WHEELS

Run by the environment's own Python.
"""

import pathlib
import subprocess
import sys

OPTIONS = ["--quiet", "--no-input", "--disable-pip-version-check", "install", "--no-index", "--no-deps"]


def main():
    """Find the wheel, and let it install itself."""
    folder = pathlib.Path(sys.argv[1])
    found = sorted(folder.glob("pip-*.whl"))
    if not found:
        sys.exit(f"there is no wheel of pip in {folder}: put one there, or take fleet_wheels out")
    subprocess.run([sys.executable, found[-1] / "pip", *OPTIONS, "--find-links", folder, "pip"], check=True)


if __name__ == "__main__":
    main()
