"""Prove that the environment is what the plan asked for, compile it on every core, then mark it complete.

    python finish_environment.py TORCH TRANSFORMERS_MINIMUM

Run by the environment's own Python. TORCH is the plan's requirement, '' when a site pins its own packages. With a torch
for the CPU (its version ends in +cpu) no package of CUDA may have come along: they take gigabytes and are of no use.
pip would compile on one core, and an engine that finds nothing compiled takes half a minute longer to start.
"""

import importlib.metadata
import importlib.util
import pathlib
import subprocess
import sys
import sysconfig

from pip._vendor.packaging.version import Version

CUDA = ("nvidia-", "cuda-")


def installed():
    """Return {distribution: version}."""
    return {each.metadata["Name"].lower(): each.version for each in importlib.metadata.distributions()}


def problems(versions, torch, transformers_minimum):
    """Yield what is wrong, one sentence each."""
    if importlib.util.find_spec("sglang") is None:
        yield "the requirements brought no module sglang"
    found = versions.get("torch", "")
    other_build = torch.endswith("+cpu") and not found.endswith("+cpu")
    if torch and not other_build and torch not in {f"torch=={found}", f"torch=={found.partition('+')[0]}"}:
        yield f"torch {found or 'is absent,'} is not the planned {torch}"
    if torch.endswith("+cpu"):
        if not versions.get("torch", "").endswith("+cpu"):
            yield f"torch {versions.get('torch', 'is absent,')} is not the CPU build {torch}"
        for name in sorted(name for name in versions if name.startswith(CUDA)):
            yield f"{name} came along, which only a CUDA build of torch needs"
    transformers = versions.get("transformers", "")
    if not transformers or Version(transformers) < Version(transformers_minimum):
        yield f"transformers {transformers or 'is absent and'} does not know the model; it needs {transformers_minimum}"


def with_torch_as_imported(versions):
    """Return the versions with torch's own word for its version: what is listed may not be what is imported."""
    words = [sys.executable, "-c", "import torch; print(torch.__version__)"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        sys.exit(f"torch cannot be imported there: {last}")
    return {**versions, "torch": done.stdout.strip()}


def compile_packages():
    """Compile what was installed; a file that is no Python of this version (a template, a test's) stays as it is."""
    words = ["-m", "compileall", "-q", "-j", "0", sysconfig.get_path("purelib")]
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def main():
    """Print every problem and fail, or write the marker."""
    torch = sys.argv[1]
    versions = with_torch_as_imported(installed()) if torch else installed()
    found = list(problems(versions, *sys.argv[1:]))
    if found:
        sys.exit("; ".join(found))
    compile_packages()
    pathlib.Path(sys.prefix, ".complete").touch()


if __name__ == "__main__":
    main()
