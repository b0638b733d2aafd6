"""What every verb shares: the decorator that turns a body into a task with exit codes."""

import errno
import functools
import signal
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from invoke import Exit, Task, task

from devstral_fleet.cli.numbers import Verb

if TYPE_CHECKING:
    from devstral_fleet.console import Console
    from devstral_fleet.errors import ExitCode, FleetError

HELP = {
    "host": "a host, group, pattern or comma list of the inventory",
    "inventory": "inventory file or directory (else $FLEET_INVENTORY, else inventory/hosts.yml)",
    "json": "print one JSON document on standard output, everything else on standard error",
    "check": "change nothing; show what would change",
    "yes": "agree to what would otherwise be refused: deleting, or interrupting a serving host",
    "model": "devstral-small-2, devstral-2 or devstral-tiny (default: the inventory's)",
    "context-length": "tokens of one request, input and output",
    "tensor-parallel": "GPUs that hold one copy of the model",
    "lock-wait": "seconds to wait for another run's deploy lock",
}

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

Body = Callable[..., "ExitCode"]


def verb(**help_texts: str) -> Callable[[Body], Task[Any]]:
    """Make a task of a body that takes (console, **options) and returns an ExitCode.

    Args:
        help_texts: help of options that `HELP` does not know, or says differently; `_` stands for `-`, and after a
            word of Python's own for nothing.

    The task ends the process with the code the body returns, or the one of the error it raises. Ctrl-C,
    SIGTERM and a closed terminal are 130.
    """
    texts = {_option(name): text for name, text in help_texts.items()}

    def make(body: Body) -> Task[Any]:
        @functools.wraps(body)
        def run(_context: object, *args: Any, **options: Any) -> None:
            code = _exit_code(body, *args, **options)
            if code:
                raise Exit(code=code)

        names = run.__wrapped__.__code__.co_varnames[1 : run.__wrapped__.__code__.co_argcount]
        known = set(map(_option, names))
        shown = {name: text for name, text in {**HELP, **texts}.items() if name in known}
        return task(help=shown, auto_shortflags=False, klass=Verb)(run)  # type: ignore[no-any-return]

    return make


def _option(name: str) -> str:
    """Return the option that Invoke makes of a parameter."""
    return name.strip("_").replace("_", "-")


def _exit_code(body: Body, *args: Any, **options: Any) -> int:
    """Run the body; the one place that catches errors."""
    from devstral_fleet.console import Console
    from devstral_fleet.errors import ConfigurationError, ExitCode, FleetError

    console = Console(json=bool(options.get("json")))
    for number in (signal.SIGTERM, signal.SIGHUP):  # the second one: the terminal was closed
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _as_interrupt)
    try:
        return int(body(console, *args, **options))
    except KeyboardInterrupt:
        console.say("interrupted")
        console.document_of_error("KeyboardInterrupt", "interrupted", code=ExitCode.INTERRUPTED)
        return int(ExitCode.INTERRUPTED)
    except FleetError as error:
        return _said(console, error)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        where = f" for {error.filename}" if error.filename else ""
        fix = "make room where the run directories and TMPDIR lie, or set FLEET_RUNS to another place"
        return _said(console, ConfigurationError(f"this machine has no room{where}: {error.strerror}", fix=fix))


def _said(console: "Console", error: "FleetError") -> int:
    console.error(error)
    console.document_of_error(
        type(error).__name__, error.message, fix=error.fix, evidence=error.evidence, code=error.code
    )
    return int(error.code)


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
