"""Hosts of one command that copy a model's files from each other: the wide network carries them once.

Each host works in a process of its own, so who has the files, and who is asked for them now, stands in files of the
run's directory: one for each host that has them, locked by the one that copies from it. A host that has them serves one
other at a time; the number of those who have them doubles with each turn.
"""

import fcntl
import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from devstral_fleet import catalog as catalogs
from devstral_fleet import peers, project
from devstral_fleet.console import Console
from devstral_fleet.errors import FleetError, WeightsError
from devstral_fleet.model import Value
from devstral_fleet.peers import Way
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.shell import Shell, open_shell
from devstral_fleet.weights import WeightPin
from devstral_fleet.workflows import weights
from devstral_fleet.workflows.host import Host, survey
from devstral_fleet.workflows.planning import Target

HUB = ".hub"
"""Name of the file that is locked by the one who asks the hub."""
NOWHERE = Path()
"""Where a host has no peers."""
ATTEMPTS = 3
"""At copying; the hub's are those of one download."""
LOOK_S = 0.5
SURVEY_S = 300.0
"""What a look at all hosts takes at most: each of its connections gives up long before."""
PROGRAM = "let_peer_in.py"


class _Answer(Value):
    """What the program on the source says."""

    user: str = ""
    keys: tuple[str, ...] = ()
    error: str = ""


class Peers:
    """The hosts of a command that have a `fleet_peer_address`."""

    def __init__(self, directory: Path = NOWHERE, targets: Sequence[Target] = ()) -> None:
        peers = [target for target in targets if target.intent.peer_address and target.plan.files.digest]
        self._targets = {target.name: target for target in peers} if len(peers) > 1 else {}
        self._directory = directory

    @classmethod
    def of(cls, directory: RunDirectory, targets: Sequence[Target], console: Console) -> Self:
        """See which of a run's hosts have a folder of their files; one that cannot be seen says so in its own turn.

        Whether what lies there is right is seen by those who copy it, file by file.
        """
        here = cls(directory.path, targets)
        if here._targets:
            # In a process of its own: one that has had threads in SSH's library may not fork the hosts' processes.
            looking = get_context("fork").Process(target=here._look, args=(console,), daemon=True)
            looking.start()
            looking.join(SURVEY_S)
            looking.kill()
        return here

    def _look(self, console: Console) -> None:
        """Be that process."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the one that waits, and this one with it
        for target, there in survey(list(self._targets.values()), console, weights.has_folder):
            if there is True:
                self.has(target)

    def has(self, target: Target) -> None:
        """Remember that a host has its plan's files, whole."""
        if target.name in self._targets:
            (self._folder(target) / target.name).touch()

    def bring(self, host: Host, pin: WeightPin, alone: Callable[[], str]) -> str:
        """Copy the plan's files to a host from another; bring them alone where none has them and none gets them.

        A copy that fails is tried again, from another source where there is one; what came is kept.

        Returns:
            How it ended: 'complete' or 'there'.

        Raises:
            WeightsError: the files could not be brought.
        """
        if host.name not in self._targets:
            return alone()
        if (mine := self._folder(host.target) / host.name).exists():
            try:
                return alone()
            except WeightsError:
                mine.unlink(missing_ok=True)
                raise
        tried: list[str] = []
        while True:
            with self._turn(host, tried) as name:
                try:
                    ended = self._copy(host, pin, self._targets[name]) if name != HUB else alone()
                except WeightsError as error:
                    tried.append(name)
                    if name == HUB or len(tried) == ATTEMPTS:
                        raise
                    host.record.console.host(host.name, f"{error.message}; it is tried again")
                else:
                    self.has(host.target)
                    return ended

    def _copy(self, host: Host, pin: WeightPin, source: Target) -> str:
        if not weights.missing(host):  # on a file system that both share
            return "there"
        host.record.console.host(host.name, f"copies its files from {source.name} ({source.intent.peer_address})")
        with host.record.phase("weights"), access(source) as way:
            return weights.run(host, pin, "copy", way.copy_of_files)

    @contextmanager
    def _turn(self, host: Host, tried: Sequence[str]) -> Iterator[str]:
        """Wait until a host that has the files copies to nobody, or nobody has them or asks the hub.

        Yields:
            The host's name, or HUB: it is this process's while the context lasts.

        Raises:
            WeightsError: nothing of that came within the time that a download may take.
        """
        folder, told = self._folder(host.target), False
        until = time.monotonic() + catalogs.load().hub.deadline_s
        while time.monotonic() < until:
            sources = _sources(folder)
            for name in sorted(sources, key=lambda name: (tried.count(name), name)) or [HUB]:
                file = _locked(folder / name)
                if file is None:
                    continue
                with file:
                    if name != HUB or not _sources(folder):
                        yield name
                        return
            if not told:
                host.record.console.host(host.name, f"waits for its files until {_waited(sources)}")
                told = True
            time.sleep(LOOK_S)
        raise WeightsError(f"{host.name}: no other host gave its files", fix="the same command again", host=host.name)

    def _folder(self, target: Target) -> Path:
        folder = self._directory / "peers" / target.plan.files.digest
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / HUB).touch()
        return folder


def _sources(folder: Path) -> list[str]:
    """Names of the hosts that have the files; the one that asks for them is none of those."""
    return [path.name for path in folder.iterdir() if path.name != HUB]


def _waited(sources: Sequence[str]) -> str:
    return f"{' or '.join(sorted(sources))} has copied them to another host" if sources else "one host has them"


def _locked(path: Path) -> IO[str] | None:
    """Open and lock a file; None where another process has it, or it is gone."""
    try:
        file = path.open()
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def access(source: Target) -> Iterator[Way]:
    """Let another host copy a host's files while the context lasts, by a key made for that and kept in memory.

    Raises:
        WeightsError: the source lets nobody in.
    """
    private = Ed25519PrivateKey.generate()
    key = _openssh(private)
    shell = open_shell(source.intent)
    try:
        folder, seconds = str(source.layout.model(source.plan.files.directory)), catalogs.load().hub.deadline_s
        said = _ask(shell, source, {"key": key, "folder": folder, "seconds": seconds})
        address, port = peers.address(source.intent.peer_address or "") or ("", 0)
        try:
            yield Way(
                source=source.name, address=address, port=port, user=said.user, host_keys=said.keys, key=_pem(private)
            )
        finally:
            with suppress(FleetError):  # the key expires by itself
                _ask(shell, source, {"key": key})
    finally:
        shell.close()


def _ask(shell: Shell, source: Target, wish: dict[str, object]) -> _Answer:
    program = (project.MODEL_MAKERS / PROGRAM).read_text()
    done = shell.run([source.intent.python, "-I", "-c", program], stdin=json.dumps(wish))
    try:
        said = _Answer.model_validate_json(done.stdout)
    except ValidationError:
        said = _Answer(error=(done.stderr.strip().splitlines() or [f"exit status {done.exit_status}"])[-1])
    if said.error:
        raise WeightsError(
            f"{source.name} lets no other host copy its files: {said.error}",
            fix=f"mend that, or take {source.name}'s fleet_peer_address out of the inventory",
            host=source.name,
        )
    return said


def _openssh(private: Ed25519PrivateKey) -> str:
    encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return private.public_key().public_bytes(encoding, form).decode()


def _pem(private: Ed25519PrivateKey) -> str:
    form, nothing = serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, form, nothing).decode()
