"""Verbs of sites without network: bundle.create, bundle.install."""

from pathlib import Path
from typing import TYPE_CHECKING

from devstral_fleet.cli.verb import verb

if TYPE_CHECKING:
    from devstral_fleet.console import Console
    from devstral_fleet.errors import ExitCode


@verb(
    for_="nvidia, amd or cpu: what the other side has",
    python="the other side's Python, such as 3.12",
    machine="its `uname -m`",
    part_size="no part is larger: 56MiB, 2GiB",
    have="its `pip list --format=freeze`, a file: what it has is left out",
    requirements="your own lock of the engine (default: the project's, for a CPU)",
    sglang="the SGLang version in it",
    sign_key="SSH key that signs the bundle",
    models="folders of models' files (a host's fleet_home/models/NAME), with commas",
    images="images of this machine's Docker engine, with commas: an engine in a container, and no wheels of one",
    out="folder of the bundle",
)
def create(
    console: "Console",
    for_: str = "cpu",
    python: str = "3.12",
    machine: str = "x86_64",
    part_size: str = "1GiB",
    have: str = "",
    requirements: str = "",
    sglang: str = "",
    sign_key: str = "",
    models: str = "",
    images: str = "",
    out: str = "bundle",
) -> "ExitCode":
    """Collect what a site without network needs, in parts to carry: toolkit, engine, models, their hashes."""
    from devstral_fleet.workflows import bundle as workflow

    order = workflow.order(for_, python, machine, part_size, have, requirements, sglang, sign_key, models, images)
    return workflow.create(console, order, Path(out).absolute())


@verb(
    folder="the bundle's folder",
    to="directory of the installation",
    sha256="what bundle.create printed of manifest.json",
    allowed_signers="ssh-keygen's file of keys that may sign",
    signer="whose signature it must be",
    models_to="folder that its models go to: the fleet_home/models of a host that is that machine",
)
def install(
    console: "Console",
    folder: str,
    to: str = "devstral-fleet",
    sha256: str = "",
    allowed_signers: str = "",
    signer: str = "",
    models_to: str = "",
) -> "ExitCode":
    """Check a bundle and install it, without network; the same as its own install.py."""
    from devstral_fleet.workflows import bundle as workflow

    given = {"--sha256": sha256, "--allowed-signers": allowed_signers, "--signer": signer, "--models-to": models_to}
    words = ["--to", to, *(word for name, value in given.items() if value for word in (name, value))]
    return workflow.install(console, Path(folder), words)


TASKS = (create, install)
