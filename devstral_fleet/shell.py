"""Commands on a host: the Shell protocol, and the shell of this machine (over SSH: `devstral_fleet.ssh`)."""

import ctypes
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from socket import create_server
from typing import Protocol

from devstral_fleet.errors import UnreachableError
from devstral_fleet.intent import HostIntent

TIMED_OUT = -1000
"""Exit status of a command that was ended because its time was up; -N, as Python has it, is signal N's."""
TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
STARTS = 3
"""How often a command is started that a signal of the terminal ends before it has begun."""


@dataclass(frozen=True)
class CommandResult:
    """What a finished command left: its words, its exit status (TIMED_OUT: its time was up), its output."""

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

    def backward(self, local_port: int, on_bytes: Callable[[int], None]) -> AbstractContextManager[int]:
        """Give a port on the host's loopback that reaches this machine's port while the context lasts.

        `on_bytes` is called with the number of bytes of each piece that is sent to the host, from several threads.
        """
        ...

    def close(self) -> None: ...


class LocalShell:
    """The shell of this machine. With `become`, commands run as root by sudo, which must not ask for a password."""

    def __init__(self, host: str = "local", *, become: bool = False) -> None:
        self._host = host
        self._become = become and os.geteuid() != 0

    @property
    def host(self) -> str:
        return self._host

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> CommandResult:
        """Run one command in a process group of its own, which is killed whole when the time is up."""
        words = with_environment(argv, environment) if self._become else list(argv)
        text = environment_line(environment) + stdin if self._become else stdin
        inherited = None if self._become else {**os.environ, **(environment or {})}
        result = self._finished(become(words) if self._become else words, text, inherited, timeout_s)
        if self._become:
            refuse_sudo_password(self._host, result)
        return CommandResult(tuple(argv), result.exit_status, result.stdout, result.stderr)

    def _finished(
        self, words: list[str], text: str, environment: Mapping[str, str] | None, timeout_s: float
    ) -> CommandResult:
        """Run it; once more where a signal of the terminal ended it.

        The terminal signals our whole process group, and a new process leaves it a moment after it was forked. A signal
        in that moment ends it before it began; afterwards none reaches it.
        """
        for _ in range(STARTS):
            result = self._run_once(words, text, environment, timeout_s)
            if -result.exit_status not in TERMINAL_SIGNALS:
                break
        return result

    def _run_once(
        self, words: list[str], text: str, environment: Mapping[str, str] | None, timeout_s: float
    ) -> CommandResult:
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(
                words, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
            )
        except FileNotFoundError as error:
            return CommandResult(tuple(words), 127, "", f"{error.filename}: not found")
        except PermissionError as error:
            return CommandResult(tuple(words), 126, "", f"{error.filename}: permission denied")
        try:
            output, errors = process.communicate(text.encode(), timeout=timeout_s)
            status = process.returncode
        except subprocess.TimeoutExpired:
            _kill_group(process)
            output, errors = process.communicate()
            status = TIMED_OUT
        except BaseException:  # Ctrl-C: what was started here must not outlive the wait
            _kill_group(process)
            raise
        return CommandResult(tuple(words), status, output.decode(errors="replace"), errors.decode(errors="replace"))

    @contextmanager
    def forward(self, remote_port: int, remote_address: str = "127.0.0.1") -> Iterator[int]:
        """Yield the same port: the host is this machine. `remote_address` is for the protocol's sake."""
        del remote_address
        yield remote_port

    @contextmanager
    def backward(self, local_port: int, on_bytes: Callable[[int], None]) -> Iterator[int]:
        """Yield the same port: the host is this machine, and nothing is sent."""
        del on_bytes
        yield local_port

    def close(self) -> None:
        """Do nothing: there is no connection."""


def open_shell(intent: HostIntent) -> Shell:
    """Give the shell that the host's connection asks for; nothing is connected before the first command."""
    if intent.connection.kind == "local":
        return LocalShell(intent.name, become=intent.connection.become)
    from devstral_fleet.ssh import FabricShell  # fabric costs 0.2 s to import, and only hosts over SSH need it

    return FabricShell(intent.name, intent.connection)


def environment_line(environment: Mapping[str, str] | None) -> str:
    """The first line of standard input for `with_environment`; '' where there is no environment.

    Raises:
        ValueError: a value holds a line break.
    """
    if not environment:
        return ""
    if any("\n" in value for value in environment.values()):
        raise ValueError("an environment value holds a line break")
    return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items()) + "\n"


def with_environment(argv: Sequence[str], environment: Mapping[str, str] | None) -> list[str]:
    """Words that read the environment from the first line of standard input: /proc shows every user an argv."""
    if not environment:
        return list(argv)
    return ["sh", "-c", 'IFS= read -r line && eval "$line" && exec "$@"', "sh", *argv]


def become(argv: Sequence[str]) -> list[str]:
    """Words that run `argv` as root; -n never asks for a password."""
    return ["sudo", "-n", "--", *argv]


def refuse_sudo_password(host: str, result: CommandResult) -> None:
    """Raise UnreachableError where sudo wanted a password or is absent."""
    asks = result.exit_status == 1 and result.stderr.startswith("sudo:")
    absent = result.exit_status == 127 and "sudo" in result.stderr and "not found" in result.stderr
    if asks or absent:
        raise UnreachableError(
            f"{host}: cannot become root: {result.stderr.strip().splitlines()[0]}",
            fix="allow this user sudo without a password (NOPASSWD), or take ansible_become out of the inventory",
            host=host,
        )


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def end_with_the_controller() -> None:
    """Have the kernel end this process when its parent is killed: it would go on unseen, beside the next deploy."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
