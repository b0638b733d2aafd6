"""The last steps of an installation: the toolkit's environment, the models' place, the keys of this machine.

Imported by a bundle's install.py, by the Python of the other side, from what it has unpacked and checked; only Python's
own library is there.
"""

import hashlib
import json
import shutil
import subprocess
import sys

MODELS = "models"
"""Folder of a bundle's models, one folder each."""


def say(text):
    """Print a line now."""
    print(f"bundle: {text}", flush=True)


def make_environment(target):
    """Make the toolkit's .venv of the bundle's wheels; no index is asked, and pip itself comes along."""
    say("making .venv")
    wheels, environment = target / "wheels" / "toolkit", target / ".venv"
    python = environment / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", environment], check=True)
    (pip,) = wheels.glob("pip-*.whl")
    words = ["--quiet", "--no-input", "--disable-pip-version-check", "install", "--no-index", "--no-deps"]
    words += ["--find-links", wheels]
    subprocess.run([python, pip / "pip", *words, "pip"], check=True)
    lock = target / "requirements" / "toolkit.lock"
    subprocess.run([python, "-m", "pip", *words, "--require-hashes", "--requirement", lock], check=True)
    interpreter = subprocess.run([sys.executable, "-VV"], check=True, capture_output=True).stdout
    made_of = lock.read_bytes() + interpreter + f"{target}\n".encode()  # as requirements/setup.sh marks one of its own
    (environment / ".toolkit-complete").write_text(hashlib.sha256(made_of).hexdigest() + "\n")


def bring_models(target, place):
    """Move the models to where a host looks for them; one that is there already stays, and so does ours."""
    for model in sorted((target / MODELS).glob("*")):
        if not place:
            say(f"a model: {model}; hosts with fleet_models: {model.parent} copy it from there")
        elif (place / model.name).exists():
            say(f"{place / model.name} is there already; the bundle's stays in {model}")
        else:
            place.mkdir(parents=True, exist_ok=True)
            partial = place / f"{model.name}.moving"
            shutil.rmtree(partial, ignore_errors=True)
            shutil.move(model, partial)
            partial.rename(place / model.name)
            say(f"its model: {place / model.name}")


def write_site(manifest, target, models):
    """Write the keys of a host that is this machine; where the site has a file of its own for them, show them.

    `models` is where its models go, None where they stay in the installation.
    """
    images = manifest.get("images", {})
    keys = {"fleet_accelerator": manifest["accelerator"], "fleet_python": sys.executable}
    if images:
        keys |= {"fleet_runtime": "container", "fleet_image": next(iter(images.values()))}
    else:
        keys |= {"fleet_runtime": "native", "fleet_wheels": str(target / "wheels" / "engine")}
    if any(file["name"].startswith(f"{MODELS}/") for file in manifest["files"]):
        keys |= {"fleet_fetch": False, "fleet_models": str(models or target / MODELS)}
    if manifest.get("has_lock"):
        keys["fleet_engine_requirements"] = str(target / "wheels" / "engine.lock")
        keys["fleet_sglang_version"] = manifest["sglang_version"]
    if manifest.get("host_torch"):
        keys["fleet_host_torch"] = manifest["host_torch"]
    path = target / "inventory" / "host_vars" / "local.yml"
    if path.exists():
        say(f"{path} stays as it is; this bundle's keys are {json.dumps(keys)}")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("# Written by install.py of a bundle; it is yours now.\n" + json.dumps(keys, indent=2) + "\n")
    for name, image in images.items():
        say(f"the image {image}: docker load --input {target / name}")
    if manifest["accelerator"] != "cpu":
        say(f"say in {path} what it is: fleet_hardware, fleet_gpu_count, fleet_model")
