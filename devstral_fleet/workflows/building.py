"""An image of ours in the making: its context is put together here, a playbook builds it here or on a host."""

import fcntl
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstral_fleet import image_site, image_spec, playbook, project, rolevars
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.image_site import WHEELS, BuildSite
from devstral_fleet.image_spec import REQUIREMENTS, ImageSpec
from devstral_fleet.images import engine, pip_settings
from devstral_fleet.intent import HostIntent
from devstral_fleet.playbook import PlaybookCommand, PlaybookEvent, TaskStarted
from devstral_fleet.rundir import RunDirectory

CONTROLLER = "controller"
"""Name of this machine in the inventory of a build."""
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
COPIED_TO = "/var/tmp/devstral-fleet-build-{}.tar"  # noqa: S108 - the name is the build's own, the file its owner's
CACHE = project.CACHE / "build"
Content = Mapping[str, bytes | Path]


@dataclass(frozen=True)
class Builder:
    """The machine that builds: this one, or a host of the site's inventory."""

    host: str = CONTROLLER
    python: str = "python3"
    inventory: Path | None = None

    @property
    def is_here(self) -> bool:
        return self.inventory is None


def site_of(intent: HostIntent | None) -> BuildSite:
    """Put together what this machine, its environment and a host's inventory give to a build."""
    keys = {"apt_mirror": intent.apt_mirror or "", "bundle": intent.ca_bundle or ""} if intent else {}
    return image_site.site(pip_settings.read(), os.environ, **keys)


def build(
    console: Console,
    directory: RunDirectory,
    spec: ImageSpec,
    site: BuildSite,
    builder: Builder,
    *,
    check: bool = False,
) -> bool:
    """Have the image in the builder's Docker engine; tell whether it had to be built, or with `check` would have to be.

    Raises:
        ConfigurationError: the site's inputs would show a secret. PlaybookError: the build failed, with its reason.
        DependencyError: this machine is to build, and no Docker engine answers here.
    """
    found = image_site.problems(site, os.environ, elsewhere=not builder.is_here)
    if found:
        raise ConfigurationError(found[0], fix="write the address without it", evidence=found[1:])
    if not spec.is_pinned:
        console.say(
            f"{spec.image.name}: base image {spec.base} is not pinned by digest; `invoke images --pin` asks a registry"
        )
    if builder.is_here and engine.facts(spec.reference):
        return False
    with packed(spec, site, needed=not (check and builder.is_here)) as context:
        return _play(console, directory, spec, site, builder, context, check=check)


@contextmanager
def alone() -> Iterator[None]:
    """Let one process of this machine build at a time: hosts of one batch want the same image."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def packed(spec: ImageSpec, site: BuildSite, *, needed: bool) -> Iterator[Path]:
    """Give the build's context as a tar while the context lasts. It may hold a password, so only its owner reads it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{spec.image.name}-", dir=CACHE) as folder:
        path = Path(folder, "context.tar")
        if needed:
            _pack(path, {**spec.context(), **site_files(spec, site)}, image_spec.folders(spec))
        yield path


def site_files(spec: ImageSpec, site: BuildSite) -> dict[str, bytes | Path]:
    """Return the site's files of a build.

    Raises:
        ConfigurationError: its certificates cannot be read.
    """
    requirements = spec.context().get(REQUIREMENTS)
    packages = image_site.wanted(requirements.decode(), spec.torch) if requirements else frozenset()
    wheels = pip_settings.wheels(site, packages) if packages else {}
    bundle = _bundle(site)
    settings = site.pip_configuration(has_wheels=bool(wheels), has_bundle=bool(bundle))
    return {
        "site/ca.pem": bundle,
        "site/pip.conf": settings.encode(),
        **{f"{WHEELS}/{name}": path for name, path in wheels.items()},
    }


def _bundle(site: BuildSite) -> bytes:
    try:
        return Path(site.bundle).read_bytes() if site.bundle else b""
    except OSError as error:
        raise ConfigurationError(
            f"the certificates {site.bundle} cannot be read: {error.strerror}",
            fix="correct fleet_ca_bundle, the cert that `pip config list` shows, or SSL_CERT_FILE",
        ) from error


def _pack(path: Path, files: Content, folders: tuple[str, ...]) -> None:
    """Write a tar; equal files make equal bytes, so that a builder finds its earlier steps."""
    path.touch(0o600)
    with tarfile.open(path, "w") as tar:
        for name in folders:
            tar.addfile(_entry(name, tarfile.DIRTYPE, 0o755))
        for name, content in sorted(files.items()):
            entry = _entry(name, tarfile.REGTYPE, 0o644)
            entry.size = content.stat().st_size if isinstance(content, Path) else len(content)
            with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as source:
                tar.addfile(entry, source)


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


def _play(
    console: Console,
    directory: RunDirectory,
    spec: ImageSpec,
    site: BuildSite,
    builder: Builder,
    context: Path,
    *,
    check: bool,
) -> bool:
    variables = rolevars.image_build(
        spec,
        site,
        context=str(context),
        copied_to="" if builder.is_here else COPIED_TO.format(directory.id),
        log=str(directory.path / "build.log") if builder.is_here else "",
        python=builder.python,
    )
    folder = f"inventory/{builder.host}/build"
    hosts = {builder.host: {**(LOCAL if builder.is_here else {}), **variables}}
    for file, text in rolevars.inventory_files(hosts).items():
        directory.write_text(f"{folder}/{file}", text)
    own = directory.path / folder / "hosts.json"
    command = PlaybookCommand(
        "build.yml", (builder.inventory, own) if builder.inventory else (own,), limit=(builder.host,), check=check
    )

    def show(event: PlaybookEvent) -> None:
        if isinstance(event, TaskStarted):
            console.step(event.task)

    outcome = playbook.run(command, log=directory.path / f"{builder.host}-build.yml.jsonl", on_event=show)
    outcome.raise_for_failure()
    return bool(outcome.changed)


def is_here(spec: ImageSpec) -> bool:
    """Tell whether this machine's Docker engine has the image."""
    return engine.facts(spec.reference) is not None
