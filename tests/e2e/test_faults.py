"""A new release that is no good: the exit code, the words, and the old release serving again."""

import socket
from dataclasses import dataclass

import pytest

from tests.support.fleet import Site


@dataclass(frozen=True)
class Fault:
    """A broken new release: the engine's fault, how deploy must end, what it must say."""

    name: str
    exit_code: int
    words: str
    deadline_s: int = 30

    @property
    def options(self) -> tuple[str, ...]:
        """The benchmark runs only where it is the subject."""
        return () if "bench" in self.name else ("--no-bench",)


FAULTS = (
    Fault("die_at_start", 5, "died"),
    Fault("never_healthy", 5, "not healthy", deadline_s=4),
    Fault("wrong_model", 5, "model"),
    Fault("wrong_context", 5, "context"),
    Fault("no_tool_calls", 5, "tool"),
    Fault("leak_tool_calls", 5, "TOOL_CALLS"),
    Fault("error_500", 5, "500"),
    Fault("bench_fails", 5, "benchmark"),
    Fault("bench_partial", 5, "benchmark"),
    Fault("die_during_bench", 5, "benchmark"),
)
IN_EACH_RUN = ("no_tool_calls",)
"""An engine that dies at its start is in the test below."""


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=fault.name, marks=() if fault.name in IN_EACH_RUN else pytest.mark.soak)
        for fault in FAULTS
    ],
)
def test_failed_release_gives_way_to_the_proven_one(proven: Site, fault: Fault) -> None:
    serving = proven.link("serving")
    proven.set(environment={"REPLAY_FAULT": fault.name}, health_deadline_s=fault.deadline_s)

    ended = proven.invoke("deploy", *fault.options)

    assert ended.exit_code == fault.exit_code, ended.text
    assert fault.words in ended.text
    assert proven.link("serving") == proven.link("current") == serving
    report = proven.report()
    assert report["exit_code"] == fault.exit_code
    assert report["hosts"][0]["outcome"] == "restored"
    proven.set(environment=None, health_deadline_s=None)
    assert proven.invoke("status", "--json").document[0]["state"] == "serving"


def test_engine_that_dies_at_start_shows_its_last_log_lines(proven: Site) -> None:
    serving = proven.link("serving")
    proven.set(environment={"REPLAY_FAULT": "die_at_start"})

    ended = proven.invoke("deploy", "--no-bench")

    assert ended.exit_code == 5, ended.text
    assert proven.link("serving") == proven.link("current") == serving
    manager, *log = [line for line in ended.stderr.splitlines() if line.startswith("  | ")]
    assert "FATAL" in manager
    assert len(log) == 20
    assert any("die_at_start" in line for line in log), ended.text


def test_slower_than_the_baseline_is_exit_code_6_and_restores(proven: Site) -> None:
    recorded = proven.invoke("bench", "--save-baseline")
    assert recorded.exit_code == 0, recorded.text
    serving = proven.link("serving")
    proven.set(environment={"REPLAY_FAULT": "bench_slow:5"})

    ended = proven.invoke("deploy")
    (proven.directory / "baselines" / "local.json").unlink()

    assert ended.exit_code == 6, ended.text
    assert "slower than its baseline" in ended.text
    assert proven.link("serving") == proven.link("current") == serving


def test_port_of_another_process_is_named_before_anything_changes(proven: Site) -> None:
    serving, port = proven.link("serving"), proven.port
    with socket.create_server(("127.0.0.1", 0)) as other:
        proven.port = other.getsockname()[1]
        proven.set()
        ended = proven.invoke("deploy")
    proven.port = port
    proven.set()

    assert ended.exit_code == 5, ended.text
    assert "port" in ended.text
    assert proven.link("serving") == serving


def test_an_endpoint_is_proven_where_it_listens(proven: Site) -> None:
    proven.set(listen="127.0.0.2")
    deployed = proven.invoke("deploy")
    connected = proven.invoke("connect", "--once")
    proven.set(listen=None)

    assert deployed.exit_code == 0, deployed.text
    assert f"OPENAI_BASE_URL=http://127.0.0.2:{proven.port}/v1" in connected.stdout


def test_second_deploy_at_once_is_locked_out(proven: Site) -> None:
    first = proven.start("deploy")
    first.wait_for("look done")

    second = proven.invoke("deploy")

    assert second.exit_code == 7, second.text
    assert "lock" in second.text
    assert first.end().exit_code == 0


def test_requirements_that_do_not_install_are_exit_code_4(
    proven: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    broken = tmp_path_factory.mktemp("broken") / "engine.lock"
    broken.write_text(f"--no-index\n--find-links {broken.parent}\nsglang==0.0.1 --hash=sha256:{'0' * 64}\n")
    whole, serving = proven.keys["engine_requirements"], proven.link("serving")
    proven.set(engine_requirements=str(broken))

    ended = proven.invoke("deploy")
    proven.set(engine_requirements=whole)

    assert ended.exit_code == 4, ended.text
    assert "sglang" in ended.text
    assert proven.link("serving") == serving
    assert proven.invoke("verify").exit_code == 0
