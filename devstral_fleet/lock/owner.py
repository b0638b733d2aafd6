"""Who holds a lock, and whether that process still runs."""

import getpass
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, ValidationError

from devstral_fleet.model import Value

STALE_S = 20.0


class LockOwner(Value):
    """Who holds a lock, since when and why; owner.json."""

    run: str
    who: str
    controller: str
    pid: int
    boot_id: str
    """The controller's boot and its process namespace: only where both are ours does `pid` mean anything to us."""
    pid_started: int
    since: str
    """UTC by the controller's clock."""
    message: str
    heartbeat_age_s: float = Field(default=0.0, exclude=True)
    """By the host's clock, when it was read; not in the file."""

    @property
    def gone(self) -> bool:
        """True where the owner was a process of this machine that no longer runs."""
        return self.boot_id == boot_id() and started_ticks(self.pid) != self.pid_started

    @property
    def stale(self) -> bool:
        """True where the next deploy may take the lock over."""
        return self.gone or self.heartbeat_age_s > STALE_S


def this_owner(run_id: str, message: str) -> LockOwner:
    """Describe this process as an owner."""
    name = socket.gethostname()
    return LockOwner(
        run=run_id,
        who=f"{getpass.getuser()}@{name}",
        controller=name,
        pid=os.getpid(),
        boot_id=boot_id(),
        pid_started=started_ticks(os.getpid()),
        since=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        message=message,
    )


def boot_id() -> str:
    """This boot of this machine, and the process namespace we are in: containers share the first, not the second."""
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"


def started_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 when it is gone. With the pid it names one process."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except OSError:
        return 0


def read_owner(text: str, age: str) -> LockOwner:
    """Read owner.json; a broken one is still a lock, of somebody."""
    try:
        owner = LockOwner.model_validate_json(text)
    except ValidationError:
        owner = nobody()
    return owner.model_copy(update={"heartbeat_age_s": max(0.0, float(age))})


def nobody() -> LockOwner:
    """Stand in for an owner whose file cannot be read."""
    fields = dict.fromkeys(("run", "who", "controller", "since", "message"), "unknown")
    return LockOwner.model_validate({**fields, "pid": 0, "boot_id": "", "pid_started": 0})
