"""One host in one run: its plan, its shell, its record, and the looks at it that several verbs share."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from devstral_fleet import image_pins, lock, resolve
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode, FleetError, PlanError, ProbeError, VerificationError, worst
from devstral_fleet.facts import NO_DOCKER, DockerFacts, EngineFacts, ReleasesFacts, ServiceFacts
from devstral_fleet.layout import HostLayout
from devstral_fleet.lock import Hold, LockOwner
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.probes import docker as docker_probe
from devstral_fleet.probes import engine as engine_probe
from devstral_fleet.probes import log as log_probe
from devstral_fleet.probes import releases as releases_probe
from devstral_fleet.probes import service as service_probe
from devstral_fleet.shell import Shell, open_shell
from devstral_fleet.workflows.planning import Target
from devstral_fleet.workflows.record import HostRecord

LOG_LINES = 20
LOOKS_AT_ONCE = 32
T = TypeVar("T")


@dataclass
class Host:
    """A target with an open shell."""

    target: Target
    shell: Shell
    record: HostRecord

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def plan(self) -> DeploymentPlan:
        return self.target.plan

    @property
    def layout(self) -> HostLayout:
        return self.target.layout

    def carry(self, variables: Mapping[str, str]) -> None:
        """Plan with what the host's environment sets for its GPUs: every process on them gets it.

        Raises:
            PlanError: the inventory says something else.
        """
        plan = resolve.with_variables(self.plan, self.target.intent, variables)
        if plan != self.plan:
            said = ", ".join(f"{name}={value}" for name, value in variables.items())
            self.record.console.host(self.name, f"its environment sets {said}: every process on its GPUs gets it")
            self.target = self.record.target = replace(self.target, plan=plan)

    def open_shell(self) -> Shell:
        """Open another shell to the same host (a heartbeat needs its own)."""
        return open_shell(self.target.intent)

    @contextmanager
    def locked(self, run_id: str, message: str, wait_s: float = 0.0) -> Iterator[Hold]:
        """Hold the host's deploy lock for the context; LockedError when another run has it."""

        def waiting(owner: LockOwner) -> None:
            self.record.console.host(self.name, f"waiting for the lock of {owner.who}: {owner.message}")

        with lock.hold(
            self.open_shell,
            self.layout,
            run_id=run_id,
            message=message,
            wait_s=wait_s,
            clock=time.monotonic,
            sleep=time.sleep,
            on_wait=waiting,
        ) as held:
            if held.taken_over:
                gone = f"{held.taken_over.who} ({held.taken_over.message}, run {held.taken_over.run})"
                self.record.console.host(self.name, f"took over the lock of {gone}, which is gone")
            yield held

    def service(self) -> ServiceFacts:
        return service_probe.read(self.shell, self.layout)

    def engine(self) -> EngineFacts:
        return engine_probe.read(self.shell, self.layout, self.plan.base_url)

    def require_serving(self) -> EngineFacts:
        """Look at the engine; what asks it needs one that answers.

        Raises:
            VerificationError: nothing healthy answers on the plan's port.
        """
        engine = self.engine()
        if not engine.healthy:
            raise VerificationError(
                f"{self.name}: nothing healthy answers on port {self.plan.port}; its service is {self.service().state}",
                fix=f".venv/bin/invoke deploy --host {self.name}",
                host=self.name,
            )
        return engine

    @contextmanager
    def reached(self) -> Iterator[str]:
        """Give a base URL by which this machine reaches the endpoint while the context lasts; over SSH, a forward's."""
        if self.target.intent.connection.kind == "local":
            yield self.plan.base_url
            return
        with self.shell.forward(self.plan.port, self.plan.listen) as port:
            yield f"http://127.0.0.1:{port}"

    def releases(self) -> ReleasesFacts:
        return releases_probe.read(self.shell, self.layout)

    def log_tail(self, lines: int = LOG_LINES) -> tuple[str, ...]:
        return log_probe.read(self.shell, self.layout, lines=lines)

    def docker(self) -> DockerFacts:
        """What the host's Docker engine says; nothing is asked where the engine runs without a container."""
        image = self.plan.image
        if image is None:
            return NO_DOCKER
        registry = image_pins.registry_of(image.reference) if image.pulled else ""
        return docker_probe.read(self.shell, self.layout, image.reference, registry)

    def engine_image(self, docker: DockerFacts) -> str:
        """Name of the engine's image where the host has it; '' where not, and where the engine needs none."""
        return self.plan.image.reference if self.plan.image and docker.image_id else ""

    def python(self, *options: str) -> tuple[str, ...]:
        """Words that start the interpreter of the engine: its environment's, or its container's.

        Args:
            options: of `docker exec`.
        """
        environment = self.plan.engine_environment
        if self.plan.image is not None:
            return ("docker", "exec", *options, self.layout.container, "python3")
        if environment is None:
            raise PlanError([f"{self.name}: the {self.plan.runtime} runtime has no engine environment"], host=self.name)
        return (str(self.layout.environment(environment.digest) / "bin" / "python"),)

    def api_key(self) -> str:
        """Read the key that was made on the host; it stays in memory."""
        result = self.shell.run(["cat", str(self.layout.secrets / "api.key")])
        if not result.ok:
            raise ProbeError(
                f"{self.name}: the API key cannot be read: {result.stderr.strip()}",
                fix=f".venv/bin/invoke deploy --host {self.name}",
                host=self.name,
            )
        return result.stdout.strip()


@contextmanager
def opened(target: Target, console: Console) -> Iterator[Host]:
    """Open a target's shell for the context."""
    shell = open_shell(target.intent)
    try:
        yield Host(target, shell, HostRecord(target, console))
    finally:
        shell.close()


def survey(
    found: Sequence[Target], console: Console, look: Callable[[Host], T]
) -> Iterator[tuple[Target, T | FleetError]]:
    """Look at all hosts at the same time; give what was seen, or why nothing was, in their order.

    Args:
        look: shows nothing and changes nothing; it runs in a thread.
    """

    def one(target: Target) -> T | FleetError:
        try:
            with opened(target, console) as host:
                return look(host)
        except FleetError as error:
            return error

    with ThreadPoolExecutor(LOOKS_AT_ONCE) as pool:
        yield from zip(found, pool.map(one, found), strict=True)


def each(found: Iterable[Target], console: Console, step: Callable[[Host], None]) -> ExitCode:
    """Run a step on every host; one that fails is shown, stops no other, and the worst one's code is returned."""
    codes = []
    for target in found:
        try:
            with opened(target, console) as host:
                step(host)
        except FleetError as error:
            console.error(error)
            codes.append(error.code)
    return worst(codes)
