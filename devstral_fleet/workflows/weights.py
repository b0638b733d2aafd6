"""A model's files on their way to a host: a job there brings them from the hub, checks each, and survives us."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress

from devstral_fleet import catalog as catalogs
from devstral_fleet import job, project, weights
from devstral_fleet.errors import FleetError, VerificationError, WeightsError
from devstral_fleet.intent import HostIntent
from devstral_fleet.job import Job, JobState
from devstral_fleet.peers import Copy
from devstral_fleet.weights import Mode, WeightPin
from devstral_fleet.workflows.host import Host

TOKEN = "HF_TOKEN"  # noqa: S105 - the variable's name
CACHE = "hub"
"""Folder of the job that the client calls its home; its path tells a program in a container from another's."""
QUIET = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""Plain HTTP, whose interruptions the client resumes."""
SHOWN_LINES = 10


def hub_of(intent: HostIntent) -> str:
    """Return the address that the model's files come from."""
    return (intent.hub or os.environ.get("HF_ENDPOINT") or catalogs.load().hub.endpoint).rstrip("/")


def missing(host: Host) -> bool:
    """Whether the plan's files come from a hub and are not there whole."""
    files = host.plan.files
    if files.source != "hub":
        return False
    marker = host.layout.model(files.directory) / weights.marker(files)
    return not host.shell.run(["test", "-e", str(marker)]).ok


def has_folder(host: Host) -> bool:
    """Whether the folder of the plan's files is there, whole or as somebody filled it."""
    return host.shell.run(["test", "-d", str(host.layout.model(host.plan.files.directory))]).ok


def would_bring(host: Host, pin: WeightPin) -> str:
    """Say what a download would bring, and from where; or that none would."""
    what = f"{len(pin.files)} files, {pin.size / weights.GIGA:.1f} GB"
    if models := host.target.intent.models:
        return f"would copy {what}, from {models} of this machine"
    if not host.target.intent.fetch:
        return f"its files are not there ({what}), and nothing downloads them: fleet_fetch is false"
    return f"would bring {what}, from {hub_of(host.target.intent)}"


def has_client(host: Host) -> bool:
    """Whether what the engine runs in is there, which has the hub's client, and the home with its folders."""
    environment = host.plan.engine_environment
    if environment is not None:
        return host.shell.run(["test", "-e", str(host.layout.environment(environment.digest) / ".complete")]).ok
    return bool(host.docker().image_id) and host.shell.run(["test", "-d", str(host.layout.models)]).ok


def mode_of(host: Host) -> Mode:
    """Whether files are downloaded there, or the site brings them."""
    return "bring" if host.target.intent.fetch else "accept"


def run(host: Host, pin: WeightPin, mode: Mode, copy: Copy | None = None) -> str:
    """Bring the files, or read them all again; return how it ended: 'complete', 'there' or 'right'.

    A download that runs there already is joined. Ctrl-C ends it; what came is kept.

    Args:
        copy: from where 'copy' copies them.

    Raises:
        WeightsError: they could not be brought. VerificationError: they are not what was pinned.
    """
    directory = host.layout.downloads / f"{mode}-{host.plan.files.directory}"
    running = _running(host, str(directory)) or _start(host, pin, mode, str(directory), copy)
    try:
        state = job.wait(
            host.shell,
            running,
            deadline_s=catalogs.load().hub.deadline_s,
            clock=time.monotonic,
            sleep=time.sleep,
            on_progress=Shown(host),
        )
    except KeyboardInterrupt:
        with suppress(FleetError):
            job.kill(host.shell, running)
        raise
    host.shell.run(["rm", "-rf", str(directory)])
    return _end(host, state, mode)


def _running(host: Host, directory: str) -> Job | None:
    state = job.poll(host.shell, Job(directory=directory, pid=0))
    if not state.running:
        return None
    host.record.console.host(host.name, "its files are on their way already: an earlier run began it")
    return Job(directory=directory, pid=0)


def _start(host: Host, pin: WeightPin, mode: Mode, directory: str, copy: Copy | None) -> Job:
    files, hub = host.plan.files, catalogs.load().hub
    wanted = weights.wanted(
        pin,
        hub,
        repository=files.repository,
        endpoint=copy.source if copy else hub_of(host.target.intent),
        directory=str(host.layout.model(files.directory)),
        mode=mode,
        copy=copy.words if copy else (),
    )
    program = (project.MODEL_MAKERS / "fetch_model.py").read_text()
    home = f"{directory}/{CACHE}"
    environment = {**QUIET, "HF_HOME": home, **(copy.environment if copy else {})}
    token = os.environ.get(TOKEN, "") if mode == "bring" else ""
    secrets = {**({TOKEN: token} if token else {}), **(copy.secrets if copy else {})}
    python = _python(host, [*environment, *secrets]) if mode == "bring" else (host.target.intent.python,)
    words = [*python, "-c", program, wanted, home]
    return job.start(host.shell, directory, words, environment=environment, secret_environment={}, secrets=secrets)


def _python(host: Host, variables: Sequence[str]) -> tuple[str, ...]:
    """Words that start a Python with the hub's client: the engine's own, in a container of its own where it has one."""
    if host.plan.image is None:
        return host.python()
    models = str(host.layout.models)
    return (
        *("docker", "run", "--rm", "--init", "--network", "host", "--user", "0"),
        *(f"--env={name}" for name in variables),  # by name: no value is in an argv
        *("--volume", f"{models}:{models}", "--entrypoint", "python3", host.plan.image.reference),
    )


class Shown:
    """Says how far the download is, after each look at its job."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.first: tuple[float, int] | None = None

    def __call__(self, state: JobState) -> None:
        now = weights.said(state.stdout_tail)
        if now.bytes is not None and self.first is None:
            self.first = time.monotonic(), now.bytes
        began, before = self.first or (time.monotonic(), 0)
        text = weights.words(now, (now.bytes or 0) - before, time.monotonic() - began)
        if text:
            self.host.record.console.step(text)


def _end(host: Host, state: JobState, mode: Mode) -> str:
    last = weights.said(state.stdout_tail)
    if state.exit_status == 0 and last.end:
        return last.end
    evidence = () if last.error else tuple((state.stderr_tail or state.stdout_tail).strip().splitlines()[-SHOWN_LINES:])
    what = last.error or f"the program that brings its files ended with exit status {state.exit_status}"
    kind = VerificationError if mode == "verify" else WeightsError
    raise kind(f"{host.name}: {what}", fix=last.fix or "the same command again", evidence=evidence, host=host.name)
