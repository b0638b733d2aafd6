"""A model's files from this machine to a host through SSH: what a bundle has brought, at a site without network."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection

from devstral_fleet import peers, weights
from devstral_fleet.errors import ConfigurationError, DependencyError
from devstral_fleet.peers import Copy
from devstral_fleet.shell import end_with_the_controller, free_port
from devstral_fleet.workflows.host import Host

PROGRAM = "rsync"
START_S = 10.0
LOOK_S = 0.05


@contextmanager
def served(host: Host, models: str) -> Iterator[Copy]:
    """Let a host copy its plan's files from a folder of models here while the context lasts; it may only read them.

    Raises:
        ConfigurationError: the folder does not have them whole. DependencyError: rsync is missing here.
    """
    folder = Path(models, host.plan.files.directory)
    if not (folder / weights.marker(host.plan.files)).is_file():
        raise ConfigurationError(
            f"{host.name}: fleet_models {models} has no {folder.name}, or not all of it",
            fix="name the folder that has it, as bundle.install or a host's models left it",
            host=host.name,
        )
    with _daemon(folder) as port, host.shell.backward(port, lambda _: None) as there:
        yield Copy(source=f"{folder} of this machine", words=(*peers.RSYNC, f"rsync://127.0.0.1:{there}/model/"))


@contextmanager
def _daemon(folder: Path) -> Iterator[int]:
    """Give the port of rsync's daemon on loopback, with one module that can be read; it ends with the context."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise DependencyError(f"{PROGRAM}, which hands models to hosts, is missing", fix=f"install {PROGRAM} here")
    # Root's rsync would become nobody, who may not come to the folder.
    identity = "uid = 0\ngid = 0\n" if os.geteuid() == 0 else ""
    module = f"[model]\npath = {folder}\nread only = yes\nlist = no\n"
    with tempfile.TemporaryDirectory(prefix="fleet-models-") as place:
        configuration, log = Path(place, "rsyncd.conf"), Path(place, "log")
        configuration.write_text(f"use chroot = no\nreverse lookup = no\n{identity}{module}")
        port = free_port()
        words = [program, "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={port}"]
        process = subprocess.Popen(
            [*words, f"--config={configuration}", f"--log-file={log}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=end_with_the_controller,
        )
        try:
            _wait(process, port, log)
            yield port
        finally:
            process.terminate()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(LOOK_S)
    said = log.read_text().splitlines()[-3:] if log.exists() else []
    raise DependencyError(
        f"{PROGRAM} does not start as a daemon", fix=f"try it by hand: {PROGRAM} --daemon", evidence=said
    )
