"""models: a model's files onto its hosts, checked; or which revision of them, and whether they are still right."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import ValidationError

from devstral_fleet import catalog as catalogs
from devstral_fleet import project
from devstral_fleet import weights as pins
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode, FleetError, WeightsError
from devstral_fleet.redact import redact
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.weights import WeightFile, WeightPin
from devstral_fleet.workflows import planning, weights
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.peers import Peers
from devstral_fleet.workflows.planning import Ask, Target, inventory_path, targets
from devstral_fleet.workflows.rollout import everywhere
from devstral_fleet.workflows.running import Run

SHARED_FILE_SYSTEMS = frozenset(
    ("nfs", "lustre", "gpfs", "ceph", "fhgfs", "panfs", "gfs/gfs2", "ocfs2", "afs", "cifs", "smb", "smb2", "v9fs")
)
"""As GNU stat names them; one that it does not know is not noticed."""
ENDED = {"there": "its files were there already", "complete": "its files are there, each checked"}


@dataclass(frozen=True)
class Wish:
    """What the command line said."""

    pin: bool = False
    verify: bool = False
    prune: bool = False
    check: bool = False
    lock_wait_s: int = 0

    @property
    def brings(self) -> bool:
        """Whether files are brought; each other wish only looks, or removes."""
        return not (self.pin or self.verify or self.prune or self.check)


def models(console: Console, ask: Ask, wish: Wish) -> ExitCode:
    """Do one of the four on every host that was named; nothing that serves is touched."""
    if wish.pin + wish.verify + wish.prune > 1:
        raise ConfigurationError("--pin, --verify and --prune are three things", fix="one after the other")
    if wish.pin:
        return pin_repositories(console, ask, check=wish.check)
    found, inventory = targets(ask), inventory_path(ask)
    if not wish.prune:
        _require_pinned(found)
    with Run(console, RunDirectory.create(project.runs(), "models"), "models", ask) as run:
        peers = Peers.of(run.directory, found if wish.brings else (), console)
        everywhere(run, found, lambda host: _on(host, Converging(host, run.directory, inventory, peers), wish))
    return run.exit_code


def _on(host: Host, converging: Converging, wish: Wish) -> None:
    if wish.prune:
        with host.locked(converging.directory.id, "models --prune", wish.lock_wait_s):
            prune(host, check=wish.check)
        return
    pin = converging.pin()
    assert pin is not None  # noqa: S101 - _require_pinned let no other plan in
    if wish.verify:
        with host.record.phase("verify"):
            weights.run(host, pin, "verify")
        host.record.console.host(host.name, f"all {len(pin.files)} files are what the hub said")
        host.record.outcome = "verified"
    elif wish.check:
        said = weights.would_bring(host, pin) if weights.missing(host) else ENDED["there"]
        host.record.console.host(host.name, said)
        host.record.outcome = "checked"
    else:
        host.record.console.host(host.name, ENDED[converging.weights()])
        host.record.outcome = "fetched"


def _require_pinned(found: Iterable[Target]) -> None:
    """Raise ConfigurationError for a model that comes another way, or whose revision nobody has pinned."""
    for target in found:
        files = target.plan.files
        if files.source != "hub":
            what = f"{target.name}: the files of {target.plan.model} are made on the host, and come from no hub"
            raise ConfigurationError(what, fix="leave it out of --host", host=target.name)
        if not files.digest:
            what = f"{target.name}: no revision of {files.repository} is pinned"
            fix = f".venv/bin/invoke models --pin --host {target.name}"
            raise ConfigurationError(what, fix=fix, host=target.name)


def pin_repositories(console: Console, ask: Ask, *, check: bool) -> ExitCode:
    """Ask the hub for the commit and the files of each repository, and keep its answers beside the inventory."""
    catalog = catalogs.load()
    file = planning.inventory_directory(inventory_path(ask)) / pins.FILE
    before = planning.weight_pins(inventory_path(ask))
    wanted = {
        model.repository: (model.exclude, weights.hub_of(intent))
        for intent in planning.intents(ask)
        for model in [catalog.model(intent.model)]
        if model.source == "hub"
    }
    if not wanted:
        raise ConfigurationError("none of these hosts has a model from a hub", fix="name another with --host")
    now = {name: asked(name, exclude, hub, catalog.hub.revision) for name, (exclude, hub) in wanted.items()}
    if not check and any(before.get(name) != answer for name, answer in now.items()):
        planning.write_whole(file, pins.written({**before, **now}))
    rows = [
        (
            name,
            answer.revision,
            str(len(answer.files)),
            _size(answer.size),
            _change(before.get(name), answer),
        )
        for name, answer in now.items()
    ]
    console.table(("repository", "revision", "files", "size", ""), rows)
    console.pairs([("kept in", f"{file}{' (not written: --check)' if check else ''}")])
    console.document(
        {"file": str(file), "pins": {name: answer.model_dump(mode="json") for name, answer in now.items()}}
    )
    return ExitCode.OK


def asked(repository: str, exclude: Iterable[str], hub: str, revision: str) -> WeightPin:
    """Return what a hub says of a repository now.

    Raises:
        WeightsError: it does not answer, has no such repository, or asks for a token that may read it.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    token = os.environ.get(weights.TOKEN, "")
    try:
        info = HfApi(endpoint=hub, token=token or False).model_info(repository, revision=revision, files_metadata=True)
    except (GatedRepoError, RepositoryNotFoundError) as error:
        what = f"{hub} does not show {repository} {'to this token' if token else 'without a token'}"
        raise WeightsError(what, fix=f"accept its licence there, and set {weights.TOKEN}") from error
    except Exception as error:  # the client raises its transport's errors, which are not ours to list
        said = redact(" ".join(str(error).split()), (token,))
        what = f"{hub} does not say what {repository} is: {said or type(error).__name__}"
        raise WeightsError(what, fix="reach it from here, or name a mirror: fleet_hub, HF_ENDPOINT") from error
    siblings = {each.rfilename: each for each in info.siblings or ()}
    names = pins.needed(siblings, exclude)
    try:
        files = {name: _file(siblings[name].size, siblings[name].lfs, siblings[name].blob_id) for name in names}
        return WeightPin(revision=info.sha or "", files=files)
    except ValidationError as error:
        what = f"{hub} does not say commit, sizes and hashes of {repository}: {error.errors()[0]['msg']}"
        raise WeightsError(what, fix="name a mirror that does: fleet_hub, HF_ENDPOINT") from error


def _file(size: int | None, large: object, blob: str | None) -> WeightFile:
    sha256 = getattr(large, "sha256", None)
    return WeightFile(size=-1 if size is None else size, hash=f"sha256:{sha256}" if sha256 else f"git:{blob}")


def _change(before: WeightPin | None, now: WeightPin) -> str:
    if before is None:
        return "new"
    return "as before" if before == now else f"was {before.revision}"


def prune(host: Host, *, check: bool) -> None:
    """Remove model directories that neither a release on the host nor its plan uses; called under its lock.

    Raises:
        WeightsError: one of them could not be removed, or other hosts have the same folder.
    """
    _require_own_folder(host)
    releases = host.releases().releases
    if any(not release.files for release in releases):
        unread = [release.id for release in releases if not release.files]
        raise WeightsError(
            f"{host.name}: the releases {', '.join(unread)} do not say which files they use; nothing was removed",
            fix=f".venv/bin/invoke deploy --host {host.name} removes releases that were interrupted",
            host=host.name,
        )
    used = {host.plan.files.directory, *(release.files for release in releases)}
    removed = []
    for name, size in sorted(_directories(host)):
        if name.removesuffix(".lock").removesuffix(".partial") in used:
            continue
        if not check:
            done = host.shell.run(["rm", "-rf", "--", str(PurePosixPath(host.layout.models, name))])
            if not done.ok:
                raise WeightsError(f"{host.name}: {name} cannot be removed: {done.stderr.strip()}", host=host.name)
        removed.append(name)
        verb = "would remove" if check else "removed"
        host.record.console.host(host.name, f"{verb} {name} ({_size(size)})")
    if not removed:
        host.record.console.host(host.name, "nothing to remove: every model there is used")
    host.record.outcome = "checked" if check else "pruned"


def _require_own_folder(host: Host) -> None:
    """Refuse a folder that other hosts may have too: which models their releases use is not known here."""
    models = str(host.layout.models)
    kind = host.shell.run(["stat", "--file-system", "--format=%T", models]).stdout.strip()
    linked = host.shell.run(["test", "-L", models]).ok
    if linked or kind in SHARED_FILE_SYSTEMS:
        what = "a link" if linked else f"on a shared file system ({kind})"
        raise WeightsError(
            f"{host.name}: {models} is {what}: other hosts may use what this one does not; nothing was removed",
            fix="remove by hand what neither the plan nor a release of any of those hosts uses",
            host=host.name,
        )


def _directories(host: Host) -> list[tuple[str, int]]:
    """What lies in the folder of models: name, and bytes on disk."""
    listed = host.shell.run(["find", str(host.layout.models), "-mindepth", "1", "-maxdepth", "1", "-printf", "%f\\n"])
    names = listed.stdout.splitlines()
    if not names:
        return []
    sized = host.shell.run(["du", "--summarize", "--block-size=1", *(str(host.layout.models / name) for name in names)])
    if not sized.ok:
        raise FleetError(f"{host.name}: the models there cannot be measured: {sized.stderr.strip()}", host=host.name)
    return [
        (PurePosixPath(path).name, int(size)) for size, path in (line.split("\t") for line in sized.stdout.splitlines())
    ]


def _size(size: int) -> str:
    return f"{size / pins.GIGA:.1f} GB"
