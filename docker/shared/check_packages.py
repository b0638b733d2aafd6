"""Prove that an image's Python packages serve the models; print what they are, as JSON.

    python3 check_packages.py CONSTRAINTS TRANSFORMERS_MINIMUM

Two questions: does what is installed keep the constraints, and does the transformers that Python imports say that it is
new enough (the check that the models' page asks for)? pip is told to install nothing: another transformers in place of
the one that an SGLang was released with breaks that SGLang.
"""

import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys

from pip._vendor.packaging.version import Version

PIP = [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check"]
NAMES = ("sglang", "transformers", "torch")
FIX = "build from an image with a newer SGLang"


def versions():
    """Return {package: version}, '' for one that is not installed."""
    found = {}
    for name in NAMES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    return found


def keeps(constraints):
    """Tell whether pip finds that the constraints hold as things are; it installs nothing."""
    words = ["install", "--no-index", "--no-deps", "--constraint", constraints, "transformers"]
    settings = {**os.environ, "PIP_BREAK_SYSTEM_PACKAGES": "1"}
    return subprocess.run([*PIP, *words], env=settings, stdout=sys.stderr, check=False).returncode == 0


def main():
    """Ask both questions, the answers' reasons last."""
    constraints, minimum = sys.argv[1:]
    found = versions()
    if not found["sglang"]:
        sys.exit("ERROR: there is no SGLang in this image")
    if not keeps(constraints):
        wanted = " ".join(pathlib.Path(constraints).read_text().split())
        installed = found["transformers"] or "absent"
        sys.exit(f"ERROR: transformers is {installed}, which breaks the constraint {wanted}; {FIX}")
    import transformers

    if Version(transformers.__version__) < Version(minimum):
        sys.exit(f"ERROR: Python imports transformers {transformers.__version__}, the models need {minimum}; {FIX}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
