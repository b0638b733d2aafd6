"""bundle.create and bundle.install: what a site without network needs, in parts; and its installation over there."""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from devstral_fleet import __version__, project
from devstral_fleet import catalog as catalogs
from devstral_fleet.bundle import pack, signing, wheels
from devstral_fleet.bundle.manifest import NAME, Manifest
from devstral_fleet.catalog import Catalog
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode
from devstral_fleet.intent import Accelerator
from devstral_fleet.workflows import carrying
from devstral_fleet.workflows.running import git_commit, utc_now

LEFT_OUT = ("tests/", ".ci/", "docs/evidence/")
"""Files of the checkout that only its development needs."""
PYTHON = re.compile(r"3\.(11|12|13)")
SIZE = re.compile(r"(\d+)(MiB|GiB)")
UNITS = {"MiB": 2**20, "GiB": 2**30}
LEAST_PART_BYTES = 2**20
ID_DIGITS = 8
INSTALLER = "install.py"


@dataclass(frozen=True)
class Order:
    """What the command line said of a bundle; '' leaves the choice to the catalog."""

    accelerator: Accelerator
    python: str
    machine: str
    part_size: str
    have: str = ""
    """Path of the other side's `pip list --format=freeze`."""
    requirements: str = ""
    """Path of the site's own lock of the engine."""
    sglang: str = ""
    sign_key: str = ""
    models: tuple[str, ...] = ()
    """Folders of models' files, as a host has them."""
    images: tuple[str, ...] = ()
    """Images of this machine's Docker engine; with them the other side needs no native engine."""


def create(console: Console, order: Order, folder: Path) -> ExitCode:
    """Fetch, pack, describe and sign; the folder appears whole, or not at all."""
    refuse(order, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as partial:
        made = Path(partial, "bundle")
        made.mkdir(mode=0o755)
        manifest = _write(console, order, catalogs.load(), Path(partial, "wheels"), made)
        (made / NAME).write_text(manifest.model_dump_json(indent=2) + "\n")
        if order.sign_key:
            signing.sign(made, order.sign_key)
        made.rename(folder)
    packed = sum(part.size_bytes for part in manifest.parts)
    console.say(
        f"{folder}: {len(manifest.parts)} parts, {packed / 2**20:.0f} MiB for {manifest.unpacked_bytes / 2**20:.0f}"
    )
    console.say(f"SHA-256 of {NAME}: {pack.digest(folder / NAME, NAME).sha256}")
    console.say(f"on the other side: python{order.python} {INSTALLER}, in the folder with all of it")
    return ExitCode.OK


def install(console: Console, folder: Path, words: list[str]) -> ExitCode:
    """Run the installer that lies in the bundle: it is the way in with this toolkit and without any."""
    program = folder / INSTALLER
    if not program.is_file() or not (folder / NAME).is_file():
        raise ConfigurationError(f"{folder} holds no bundle: {INSTALLER} is not there", fix="name the bundle's folder")
    try:
        manifest = Manifest.model_validate_json((folder / NAME).read_text())
    except ValueError as error:
        raise ConfigurationError(f"{folder / NAME} is damaged", fix="bring the bundle again") from error
    if pack.digest(program, INSTALLER) != manifest.installer:
        raise ConfigurationError(f"{program} is not the bundle's own", fix="bring the bundle again")
    console.say(f"checking {folder}")
    own = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    done = subprocess.run([str(own), str(program), *words], stdin=subprocess.DEVNULL)
    return ExitCode.OK if done.returncode == 0 else ExitCode.CONFIGURATION


def order(
    accelerator: str,
    python: str,
    machine: str,
    part_size: str,
    have: str,
    requirements: str,
    sglang: str,
    sign_key: str,
    models: str = "",
    images: str = "",
) -> Order:
    """Read the command line; `models` and `images` are lists with commas.

    Raises:
        ConfigurationError: there is no such accelerator.
    """
    if accelerator not in get_args(Accelerator):
        known = ", ".join(get_args(Accelerator))
        raise ConfigurationError(f"--for '{accelerator}' is none of {known}", fix="--for nvidia")
    kind, lists = cast("Accelerator", accelerator), (_listed(models), _listed(images))
    return Order(kind, python, machine, part_size, have, requirements, sglang, sign_key, *lists)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def part_bytes(text: str) -> int:
    """Read a size such as '56MiB'.

    Raises:
        ConfigurationError: it is none, or less than one MiB.
    """
    found = SIZE.fullmatch(text)
    size = int(found[1]) * UNITS[found[2]] if found else 0
    if size < LEAST_PART_BYTES:
        raise ConfigurationError(f"--part-size '{text}' is no size from 1MiB up", fix="--part-size 56MiB")
    return size


def refuse(order: Order, folder: Path) -> None:
    """Raise ConfigurationError where the order cannot be carried out."""
    part_bytes(order.part_size)
    if folder.exists():
        raise ConfigurationError(f"{folder} is there already", fix="name another with --out, or remove it")
    if not PYTHON.fullmatch(order.python):
        raise ConfigurationError(f"--python '{order.python}' is none of 3.11, 3.12, 3.13", fix="--python 3.12")
    for option, path in (("have", order.have), ("requirements", order.requirements)):
        if path and not Path(path).is_file():
            raise ConfigurationError(f"--{option} {path}: there is no such file", fix="correct its path")
    if order.sign_key:
        signing.try_out(order.sign_key)
    if order.requirements and not order.sglang:
        raise ConfigurationError("a lock of your own needs its SGLang version", fix="--sglang VERSION")
    if order.images and order.requirements:
        raise ConfigurationError(
            "--requirements is an engine without containers, --images one in a container", fix="leave one of them out"
        )
    carrying.require_whole(map(Path, order.models))
    if not _has_engine(order, catalogs.load()) and not order.images:
        raise ConfigurationError(
            f"the project has no lock of an engine for {order.accelerator} without containers",
            fix="--requirements FILE: your own, as fleet_engine_requirements takes it; or --images NAME",
        )


def _has_engine(order: Order, catalog: Catalog) -> bool:
    """Whether the bundle can bring the wheels of a native engine."""
    return bool(order.requirements) or catalog.native(order.accelerator) is not None


def _write(console: Console, order: Order, catalog: Catalog, fetched: Path, made: Path) -> Manifest:
    have = wheels.installed(Path(order.have).read_text()) if order.have else {}
    with console.phase("bundle", "wheels of the toolkit"):
        _toolkit(order, fetched / "toolkit")
    if _has_engine(order, catalog) and not order.images:
        with console.phase("bundle", "wheels of the engine"):
            _engine(order, catalog, have, fetched)
    archived: dict[str, str] = {}
    if order.images:
        with console.phase("bundle", "images"):
            archived = carrying.image_archives(order.images, fetched.parent / carrying.IMAGES, console)
    (tool,) = (fetched / "toolkit").glob("zstandard-*.whl")
    shutil.copy(tool, made)
    shutil.copy(Path(pack.__file__).with_name("carried") / INSTALLER, made)
    with console.phase("bundle", "parts"):
        (fetched.parent / project.COMMIT.name).write_text(f"{git_commit()}\n")
        files = {**_checkout(), project.COMMIT.name: fetched.parent / project.COMMIT.name}
        files |= {f"wheels/{path.relative_to(fetched)}": path for path in fetched.rglob("*.*")}
        files |= {name: fetched.parent / name for name in archived} | carrying.model_files(
            [Path(one) for one in order.models]
        )
        digests = pack.digests(files)
        bundle = hashlib.sha256("".join(f"{one.name}\0{one.sha256}" for one in digests).encode()).hexdigest()[
            :ID_DIGITS
        ]
        parts = pack.pack(files, digests, made, bundle, part_bytes(order.part_size))
    return Manifest(
        id=bundle,
        created=utc_now(),
        toolkit_version=__version__,
        git_commit=git_commit(),
        accelerator=order.accelerator,
        sglang_version=order.sglang or catalog.runtimes.sglang[order.accelerator],
        python=order.python,
        machine=order.machine,
        driver_minimum=_driver(_cuda_runtime(fetched / "engine", have), catalog),
        host_torch="" if any((fetched / "engine").glob("torch-*.whl")) else have.get("torch", ""),
        has_lock=bool(order.requirements),
        unpacked_bytes=sum(one.size_bytes for one in digests),
        tool=pack.digest(made / tool.name, tool.name),
        installer=pack.digest(made / INSTALLER, INSTALLER),
        images=archived,
        parts=parts,
        files=digests,
    )


def _toolkit(order: Order, folder: Path) -> None:
    lock = (project.REQUIREMENTS / "toolkit.lock").read_text()
    wheels.fetch(
        [*wheels.requirements(lock, order.python, order.machine), *_pip(order)],
        folder,
        python=order.python,
        machine=order.machine,
    )


def _engine(order: Order, catalog: Catalog, have: dict[str, str], fetched: Path) -> None:
    """Fetch what the engine is installed from; beside a torch of the catalog, by the project's own lock as it is."""
    native = catalog.native(order.accelerator)
    folder = fetched / "engine"
    target = {"python": order.python, "machine": order.machine}
    if order.requirements:
        wanted = wheels.without(
            wheels.requirements(Path(order.requirements).read_text(), order.python, order.machine), have
        )
        wheels.fetch(wanted, folder, **target)
        wheels.store_large(folder)
        (fetched / "engine.lock").write_text(wheels.lock(folder))
    elif native:
        lock = (project.REQUIREMENTS / native.requirements).read_text()
        wheels.fetch(wheels.requirements(lock, order.python, order.machine), folder, **target)
        wheels.fetch([native.torch], folder, **target, index=native.torch_index)
    wheels.fetch([f"supervisor=={catalog.runtimes.supervisor}"], folder, **target)
    wheels.fetch(_pip(order), folder, **target)


def _pip(order: Order) -> tuple[str, ...]:
    """Return the requirement of pip, which makes environments where Python has no ensurepip."""
    return wheels.requirements((project.REQUIREMENTS / "bundle.lock").read_text(), order.python, order.machine)


def _checkout() -> dict[str, Path]:
    """The toolkit's own files: those that git knows, without what its development alone needs."""
    words = ["git", "-C", str(project.ROOT), "ls-files", "-z"]
    listed = subprocess.run(words, capture_output=True, text=True)
    names = (name for name in listed.stdout.split("\0") if name and not name.startswith(LEFT_OUT))
    found = {name: project.ROOT / name for name in names if (project.ROOT / name).is_file()}
    if "tasks.py" not in found:
        said = listed.stderr.strip() or "git knows none of the toolkit's files here"
        raise ConfigurationError(
            f"a bundle is made from a checkout: {said}", fix="git clone the project, make it there"
        )
    return found


def _cuda_runtime(engine: Path, have: Mapping[str, str]) -> str:
    """Version of the CUDA runtime that the bundle brings, else of the other side's; '' where neither is a wheel."""
    brought = (path.name.split("-")[1] for path in engine.glob("nvidia_cuda_runtime*.whl"))
    there = (version for name, version in have.items() if name.startswith("nvidia-cuda-runtime"))
    return next(iter((*brought, *there)), "")


def _driver(runtime: str, catalog: Catalog) -> str:
    """Driver that a CUDA runtime needs: that of the image with the same one; '' where there is none."""
    suffix = "-cu" + "".join(runtime.split(".")[:2])
    known = (image.driver_minimum for image in catalog.images.values() if runtime and image.tag.endswith(suffix))
    return next(known, "")
