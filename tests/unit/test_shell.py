"""LocalShell, for real on this machine."""

import os
import signal
import time
from pathlib import Path

import pytest

from devstral_fleet.errors import UnreachableError
from devstral_fleet.intent import Connection, HostIntent
from devstral_fleet.shell import (
    TIMED_OUT,
    CommandResult,
    LocalShell,
    environment_line,
    open_shell,
    refuse_sudo_password,
    with_environment,
)


def test_output_errors_and_exit_status_come_back() -> None:
    result = LocalShell("here").run(["sh", "-c", "cat; echo no >&2; exit 3"], stdin="yes\n")
    assert (result.exit_status, result.stdout, result.stderr, result.ok) == (3, "yes\n", "no\n", False)


def test_environment_is_added_to_the_users_own() -> None:
    result = LocalShell().run(["sh", "-c", 'echo "$NEW $PATH"'], environment={"NEW": "it's 1"})
    assert result.stdout == f"it's 1 {os.environ['PATH']}\n"


@pytest.mark.parametrize(("words", "status"), [(["no-such-program-here"], 127), (["/"], 126)])
def test_a_program_that_cannot_run_is_a_result(words: list[str], status: int) -> None:
    assert LocalShell().run(words).exit_status == status


def test_time_out_kills_the_whole_process_group(tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/child; wait"
    result = LocalShell().run(["sh", "-c", script], timeout_s=0.5)
    assert result.exit_status == TIMED_OUT
    child = int((tmp_path / "child").read_text())
    assert _ended(child)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_command_that_the_terminal_ended_before_it_began_is_started_again(number: int, tmp_path: Path) -> None:
    """It stands in for a signal between fork and setsid: only the first start is ended so."""
    script = f"[ -e {tmp_path}/once ] && echo ran && exit; touch {tmp_path}/once; kill -{int(number)} $$; sleep 9"
    result = LocalShell().run(["sh", "-c", script])
    assert (result.exit_status, result.stdout) == (0, "ran\n")


def test_a_command_that_always_ends_so_is_not_started_for_ever(tmp_path: Path) -> None:
    result = LocalShell().run(["sh", "-c", f"echo x >>{tmp_path}/starts; kill -2 $$; sleep 9"])
    assert result.exit_status == -signal.SIGINT
    assert (tmp_path / "starts").read_text().split() == ["x"] * 3


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert LocalShell().run(["printf", r"a\377b"]).stdout == "a\ufffdb"


def test_a_forward_on_this_machine_is_the_port_itself() -> None:
    with LocalShell().forward(30000) as port:
        assert port == 30000


def test_open_shell_takes_the_kind_of_the_connection() -> None:
    intent = HostIntent(name="one", connection=Connection(kind="local"), accelerator="cpu", hardware="cpu")
    shell = open_shell(intent)
    assert isinstance(shell, LocalShell)
    assert shell.host == "one"
    remote = open_shell(intent.model_copy(update={"connection": Connection(kind="ssh", address="192.0.2.1")}))
    assert type(remote).__name__ == "FabricShell"


def test_environment_travels_on_standard_input_not_in_words() -> None:
    environment = {"A": "x y", "B": "it's"}
    words = with_environment(["sh", "-c", 'echo "$A|$B"; cat'], environment)
    assert "x y" not in " ".join(words)
    result = LocalShell().run(words, stdin=environment_line(environment) + "rest")
    assert result.stdout == "x y|it's\nrest"


def test_environment_value_with_a_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="line break"):
        environment_line({"A": "1\n2"})


@pytest.mark.parametrize(
    ("status", "stderr", "refused"),
    [
        (1, "sudo: a password is required\n", True),
        (127, "sh: 1: sudo: not found\n", True),
        (1, "no such file\n", False),
        (0, "sudo: unable to resolve host\n", False),
    ],
)
def test_sudo_that_asks_is_an_error_with_its_fix(status: int, stderr: str, refused: bool) -> None:
    result = CommandResult(("true",), status, "", stderr)
    if not refused:
        refuse_sudo_password("gpu01", result)
        return
    with pytest.raises(UnreachableError, match="gpu01: cannot become root") as caught:
        refuse_sudo_password("gpu01", result)
    assert "NOPASSWD" in caught.value.fix


def _ended(pid: int, deadline_s: float = 5.0) -> bool:
    """True when the process is gone or a zombie that only waits to be reaped."""
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
    return False
