"""Check a bundle and install what it holds, on a machine without network. Only Python's own library is used.

    python3 install.py [--to DIRECTORY] [--models-to DIRECTORY] [--sha256 OF_THE_MANIFEST]
                       [--allowed-signers FILE --signer NAME]

It lies beside the bundle's parts. Nothing is written before every part is there and whole. An installation of an older
bundle is replaced; its inventory, its runs, its cache and its models stay. The toolkit's environment is made without
ensurepip.
"""

import argparse
import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

CHUNK = 1 << 20
KEPT = ("inventory", "runs", ".cache", ".lab")
"""What a site may have changed or made itself."""
SETTLE = "devstral_fleet/bundle/carried"
"""Folder of the module with the last steps, among what is unpacked."""
ROOM_FACTOR = 1.1
"""More than the files themselves: directories, and the environment that is made of some of them."""
WINDOW_BYTES = 1 << 31
DRIVER = pathlib.Path("/sys/module/nvidia/version")
PART = re.compile(r"devstral-fleet-([0-9a-f]{8})\.part-(\d+)-of-(\d+)$")


def say(text):
    """Print a line now."""
    print(f"bundle: {text}", flush=True)


def refuse(problems):
    """End with every problem on a line of its own, and exit status 2."""
    for problem in problems:
        print(f"bundle: {problem}", file=sys.stderr)
    sys.exit(2)


def pieces(path):
    """Yield a file's content piece by piece."""
    with open(path, "rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def sha256(path):
    """Return the SHA-256 of a file's content in hex."""
    digest = hashlib.sha256()
    for piece in pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def read_manifest(folder):
    """Return manifest.json's content; end where it is absent or broken."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        keys = ("id", "accelerator", "python", "machine", "parts", "files", "tool", "unpacked_bytes", "driver_minimum")
        missing = [key for key in keys if key not in manifest]
    except FileNotFoundError:
        refuse([f"{path} is missing: bring it beside the parts"])
    except (ValueError, TypeError) as error:
        refuse([f"{path} is damaged ({error}): bring it again"])
    if missing:
        refuse([f"{path} has no {', '.join(missing)}: bring it again"])
    return manifest


def signature_problems(folder, options):
    """Yield why the manifest is not the one that was meant."""
    found = sha256(folder / "manifest.json")
    if options.sha256 and found != options.sha256.lower():
        yield f"manifest.json has SHA-256 {found}, not {options.sha256}: it is not the one that was meant"
    if bool(options.allowed_signers) != bool(options.signer):
        yield "--allowed-signers and --signer belong together"
    if not options.allowed_signers or not options.signer:
        return
    signature = folder / "manifest.json.sig"
    if not signature.exists():
        yield f"{signature} is missing: the bundle is not signed, or its signature was not brought along"
        return
    words = ["ssh-keygen", "-Y", "verify", "-f", options.allowed_signers, "-I", options.signer, "-n", "devstral-fleet"]
    try:
        with open(folder / "manifest.json", "rb") as text:
            done = subprocess.run([*words, "-s", str(signature)], stdin=text, capture_output=True, text=True)
    except FileNotFoundError:
        yield "ssh-keygen, which checks the signature, is missing; compare --sha256 with what bundle.create printed"
        return
    if done.returncode:
        yield f"the signature is not {options.signer}'s: {(done.stderr or done.stdout).strip()}"


def version(text):
    """Return a dotted version as numbers that can be compared."""
    return [int(word) for word in re.findall(r"\d+", text)]


def machine_problems(manifest):
    """Yield why this machine is not what the bundle is for."""
    wanted, here = manifest["python"], f"{sys.version_info.major}.{sys.version_info.minor}"
    if here != wanted:
        yield f"the bundle is for Python {wanted}, this is {here}: run install.py by python{wanted}"
    if platform.machine() != manifest["machine"]:
        yield f"the bundle is for {manifest['machine']}, this machine is {platform.machine()}"
    least, driver = manifest["driver_minimum"], DRIVER.read_text().strip() if DRIVER.exists() else ""
    if least and version(driver) < version(least):
        yield f"the bundle's engine needs NVIDIA's driver {least} or newer, this machine has {driver or 'none loaded'}"


def part_problems(manifest, folder):
    """Yield what is wrong with the parts that lie here: missing, damaged, of another bundle, or there twice."""
    wanted = {part["name"] for part in manifest["parts"]}
    for part in [manifest["tool"], *manifest["parts"]]:
        path = folder / part["name"]
        if not path.exists():
            yield f"{part['name']} is missing"
        elif path.stat().st_size != part["size_bytes"]:
            yield f"{part['name']} is damaged: {path.stat().st_size} bytes of {part['size_bytes']}"
        elif sha256(path) != part["sha256"]:
            yield f"{part['name']} is damaged: its SHA-256 is another one"
    for path in sorted(folder.iterdir()):
        name = PART.search(path.name)
        if name and path.name not in wanted:
            yield f"{path.name} is of another bundle ({name[1]}), this one is {manifest['id']}: take it away"
        elif ".part-" in path.name and path.name not in wanted:
            yield f"{path.name} is a part for the second time, or none of this bundle: take it away"


def target_problems(target):
    """Yield why this place cannot be installed to: what is there is no installation, or Python runs from it."""
    if target.exists() and (not (target / "requirements" / "toolkit.lock").is_file() or (target / ".git").exists()):
        yield f"{target} is there and is no installation of a bundle: name another place with --to"
    if pathlib.Path(sys.executable).is_relative_to(target):
        yield f"this Python belongs to the installation in {target}: run install.py by the machine's own"
    if left(target).exists():
        yield f"{left(target)} is left of an installation that was interrupted: move it back to {target}, or remove it"


def left(target):
    """Where an older installation waits until the newer one is whole."""
    return target.with_name(f".{target.name}.before")


def room_problems(manifest, target):
    """Yield that the disk is short."""
    place = next(path for path in (target, *target.parents) if path.exists())
    free, needed = shutil.disk_usage(place).free, int(manifest["unpacked_bytes"] * ROOM_FACTOR)
    if free < needed:
        yield f"{place} has {free / 2**30:.1f} GiB free, the bundle needs {needed / 2**30:.1f} GiB"


class Joined:
    """The parts as one file to read from."""

    def __init__(self, paths):
        self.pieces = (piece for path in paths for piece in pieces(path))
        self.rest = b""

    def read(self, size):
        """Return up to `size` bytes, b"" at the end."""
        data = self.rest or next(self.pieces, b"")
        self.rest = data[size:]
        return data[:size]


def write(source, path, mode):
    """Write one file of the tar; tarfile's own filters are younger than some of the Pythons that a bundle is for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        shutil.copyfileobj(source, file, CHUNK)
    path.chmod(mode)


def unpack(manifest, folder, target):
    """Write the bundle's files below `target`, each checked by its hash."""
    wanted = {file["name"]: file["sha256"] for file in manifest["files"]}
    outside = [name for name in wanted if name.startswith("/") or ".." in name.split("/")]
    if outside:
        refuse([f"{name} would lie outside of {target}" for name in outside])
    with tempfile.TemporaryDirectory() as tool:
        zipfile.ZipFile(folder / manifest["tool"]["name"]).extractall(tool)
        sys.path.insert(0, tool)
        import zstandard

        source = Joined(folder / part["name"] for part in manifest["parts"])
        plain = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).stream_reader(source)
        with tarfile.open(fileobj=plain, mode="r|") as tar:
            for member in tar:
                if member.name not in wanted or not member.isfile():
                    refuse([f"{member.name} is in the parts and not in the manifest: bring the bundle again"])
                write(tar.extractfile(member), target / member.name, 0o755 if member.mode & 0o100 else 0o644)
                if sha256(target / member.name) != wanted.pop(member.name):
                    refuse([f"{member.name} is damaged: bring the bundle again"])
    if wanted:
        refuse([f"the parts lack {', '.join(sorted(wanted)[:5])}: bring the bundle again"])


def keep(before, after):
    """Move what the site changed or made itself from an earlier installation to the new one, then remove that."""
    pins, own = (place / "inventory" / "models.lock.yml" for place in (after, before))
    if pins.exists() and own.parent.exists() and not own.exists():
        pins.rename(own)
    for name in KEPT:
        if (before / name).exists():
            if (after / name).exists():
                shutil.rmtree(after / name)
            try:
                (before / name).rename(after / name)
            except OSError as error:
                refuse([f"{before / name} cannot be moved ({error.strerror}): move it to {after / name} yourself"])
    for model in (before / "models").glob("*"):
        here = after / "models" / model.name
        if not here.exists():
            here.parent.mkdir(exist_ok=True)
            model.rename(here)
    shutil.rmtree(before)


def install(manifest, folder, target, models):
    """Unpack beside the target, then change places with what was there, which comes back where it does not work."""
    target.parent.mkdir(parents=True, exist_ok=True)
    before = left(target)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as partial:
        fresh = pathlib.Path(partial, "new")
        fresh.mkdir(mode=0o755)
        say(f"unpacking {manifest['unpacked_bytes'] / 2**20:.0f} MiB to {target}")
        unpack(manifest, folder, fresh)
        if target.exists():
            target.rename(before)
        fresh.rename(target)
    try:
        sys.path.insert(0, str(target / SETTLE))
        import settle

        settle.make_environment(target)
    except BaseException:
        shutil.rmtree(target)
        if before.exists():
            before.rename(target)
        raise
    if before.exists():
        keep(before, target)
    settle.write_site(manifest, target, models)
    settle.bring_models(target, models)


def main():
    """Check everything, then install."""
    folder = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Check a bundle of Devstral Fleet and install it, without network.")
    parser.add_argument("--to", default="devstral-fleet", help="directory of the installation")
    parser.add_argument("--sha256", default="", help="what bundle.create printed of manifest.json")
    parser.add_argument("--allowed-signers", default="", help="ssh-keygen's file of keys that may sign")
    parser.add_argument("--signer", default="", help="whose signature it must be")
    parser.add_argument("--models-to", default="", help="where its models go: a host's fleet_home/models")
    options = parser.parse_args()
    target = pathlib.Path(options.to).absolute()
    manifest = read_manifest(folder)
    checks = (signature_problems(folder, options), machine_problems(manifest), part_problems(manifest, folder))
    places = (target_problems(target), room_problems(manifest, target))
    problems = [problem for found in (*checks, *places) for problem in found]
    if problems:
        refuse(problems)
    os.umask(0o022)
    install(manifest, folder, target, pathlib.Path(options.models_to).absolute() if options.models_to else None)
    say(f"installed; now: cd {target} && .venv/bin/invoke deploy --host local")


if __name__ == "__main__":
    main()
