"""Where things lie on a host, under its `fleet_home`. The one place that spells these names.

Roles get these paths as variables (`devstral_fleet.rolevars`), so no role spells them a second time.
"""

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath

SIMULATED = PurePosixPath("/etc/devstral-fleet/simulated")
"""Marks a simulated host of the lab; its one line says what it stands for. A deploy refuses every host that has it."""
SIMULATION = PurePosixPath("/usr/local/lib/devstral-fleet/simulation")
"""What a simulated host's probes look at instead of `/`."""


@dataclass(frozen=True)
class HostLayout:
    """Paths on one host. `home` is absolute."""

    home: PurePosixPath

    @classmethod
    def of(cls, home: str) -> "HostLayout":
        return cls(PurePosixPath(home))

    @property
    def lock(self) -> PurePosixPath:
        """Directory whose existence is the deploy lock; holds owner.json and heartbeat."""
        return self.home / "lock"

    @property
    def audit(self) -> PurePosixPath:
        """JSONL, one line for each change of what serves."""
        return self.home / "audit.jsonl"

    @property
    def environments(self) -> PurePosixPath:
        """Engine environments of the native runtime, one directory for each requirements digest."""
        return self.home / "environments"

    @property
    def wheels(self) -> PurePosixPath:
        """The site's wheels, where environments are made without an index."""
        return self.home / "wheels"

    @property
    def models(self) -> PurePosixPath:
        return self.home / "models"

    @property
    def releases(self) -> PurePosixPath:
        return self.home / "releases"

    @property
    def serving(self) -> PurePosixPath:
        """Symbolic link to the release that the service starts."""
        return self.home / "serving"

    @property
    def current(self) -> PurePosixPath:
        """Symbolic link to the newest release that was proven."""
        return self.home / "current"

    @property
    def previous(self) -> PurePosixPath:
        """Symbolic link to the release that was `current` before; where a rollback without a version goes."""
        return self.home / "previous"

    @property
    def secrets(self) -> PurePosixPath:
        """Directory (0700) of 0600 files: api.key, engine.yml (SGLang's --config), auth.header (curl -H @FILE)."""
        return self.home / "secrets"

    @property
    def supervisor(self) -> PurePosixPath:
        """supervisord's environment, configuration, socket and log, where systemd is not the service manager."""
        return self.home / "supervisor"

    @property
    def guard(self) -> PurePosixPath:
        """Program that gives the host back to its proven release when the controller dies in a deploy."""
        return self.home / "guard.py"

    @property
    def jobs(self) -> PurePosixPath:
        """Detached jobs (benchmarks), one directory each: pid, rc, stdout, stderr, results."""
        return self.home / "jobs"

    @property
    def downloads(self) -> PurePosixPath:
        """Detached jobs that bring model files; a benchmark does not end those."""
        return self.home / "downloads"

    @property
    def log(self) -> PurePosixPath:
        """The engine's log: standard output and error of the service, rotated."""
        return self.home / "log" / "engine.log"

    @property
    def cache(self) -> PurePosixPath:
        """Compiled kernels of the container runtime, kept from release to release; mounted into the container."""
        return self.home / "cache"

    @property
    def container(self) -> str:
        """Name of the engine's container: two homes on one host get two."""
        return f"devstral-fleet-{hashlib.sha256(str(self.home).encode()).hexdigest()[:8]}"

    @property
    def unit(self) -> str:
        """Name of the systemd unit."""
        return f"{self.container}.service"

    def environment(self, digest: str) -> PurePosixPath:
        return self.environments / digest

    def model(self, directory: str) -> PurePosixPath:
        return self.models / directory

    def release(self, release_id: str) -> PurePosixPath:
        return self.releases / release_id

    def converged(self, release_id: str) -> PurePosixPath:
        """Record of what a deploy of that release left on the host."""
        return self.release(release_id) / "converged.json"
