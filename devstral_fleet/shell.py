"""Commands on a host: the Shell protocol, over SSH (fabric) or on this machine."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class CommandResult:
    """What a finished command left: its words, its exit status (-1: killed by the time-out), its output."""

    argv: tuple[str, ...]
    exit_status: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.exit_status == 0


class Shell(Protocol):
    """One host's shell. Implementations raise UnreachableError when the host cannot be reached."""

    @property
    def host(self) -> str: ...

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> CommandResult:
        """Run one command to its end; a non-zero exit status is a result, not an error."""
        ...

    def forward(self, remote_port: int, remote_address: str = "127.0.0.1") -> AbstractContextManager[int]:
        """Give a port on this machine's loopback that reaches the host's port while the context lasts."""
        ...

    def close(self) -> None: ...
