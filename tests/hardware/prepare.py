"""Make what goes to a GPU machine without network: a bundle, and the programs of this folder beside it.

    .venv/bin/python tests/hardware/prepare.py OUT [--part-size 56MiB]

The machine has an NVIDIA driver and a Python 3.12 with torch, as have.txt says; engine.in names the engine's packages,
which are fetched from the package index and locked by the hashes of what came. On the machine, in the folder with all
of it: `python3 run.py`.
"""

import argparse
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON = "3.12"
GLIBC = (17, 24, 27, 28, 31, 34, 35, 39)
"""Minor versions of the C library that wheels are made for; pip takes each one literally."""
TAGS = [*(f"manylinux_2_{minor}_x86_64" for minor in GLIBC), "manylinux2014_x86_64", "manylinux1_x86_64"]


def fetch(folder):
    """Fetch the wheels of engine.in to a folder."""
    platforms = [word for tag in TAGS for word in ("--platform", tag)]
    words = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", PYTHON, *platforms]
    words += ["--implementation", "cp", "--dest", str(folder), "--requirement", str(HERE / "engine.in")]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)


def locked(folder):
    """Return the lock of a folder's wheels: name, version, hash."""
    lines = []
    for wheel in sorted(folder.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        lines.append(
            f"{name.replace('_', '-')}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
        )
    return "".join(lines)


def sglang():
    """Return the version of SGLang in engine.in."""
    (line,) = (line for line in (HERE / "engine.in").read_text().splitlines() if line.startswith("sglang=="))
    return line.removeprefix("sglang==")


def main():
    """Fetch, lock, bundle; the programs lie beside the parts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--part-size", default="56MiB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as partial:
        wheels, lock = pathlib.Path(partial, "wheels"), pathlib.Path(partial, "engine.lock")
        fetch(wheels)
        lock.write_text(locked(wheels))
        words = ["bundle.create", "--for", "nvidia", "--python", PYTHON, "--part-size", options.part_size]
        words += ["--have", str(HERE / "have.txt"), "--requirements", str(lock), "--sglang", sglang()]
        invoke = [str(ROOT / ".venv" / "bin" / "invoke"), *words, "--out", str(options.out.absolute())]
        subprocess.run(invoke, cwd=ROOT, check=True)
    for program in HERE.rglob("*.py"):
        place = options.out / program.relative_to(HERE)
        place.parent.mkdir(exist_ok=True)
        shutil.copy(program, place)


if __name__ == "__main__":
    main()
