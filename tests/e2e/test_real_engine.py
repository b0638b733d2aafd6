"""The whole way with the real SGLang on this machine's CPU. What goes wrong with it is in `make soak`.

`make test` has the same faults with the replay engine, in a tenth of the time.
"""

import http.client
import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.fleet import Site, until

pytestmark = pytest.mark.real_engine
ASK_S = 120.0
A_FEW_BYTES = 600 * 2**20
"""Less than the engine's processes need to start."""
A_FEW_TOKENS, MORE_TOKENS_THAN_IT_CAN_MAKE = 800, 8000
"""Of a hundred a second: more than a switch takes to begin, and more than a second's deadline."""


@pytest.fixture
def served(real_site: Site, engine_home: Path) -> Site:
    """The real engine, serving its plain plan."""
    assert engine_home == real_site.home
    real_site.set(environment=None, context_length=None, health_deadline_s=None, drain_deadline_s=None)
    deployed = real_site.invoke("deploy", "--no-bench")
    assert deployed.exit_code == 0, deployed.text
    return real_site


def process_of(site: Site) -> int:
    """Process id that the service manager runs as the engine."""
    status = site.invoke("status", "--json")
    return int(status.document[0]["pid"])


def test_deploy_is_proven_measured_and_reported(real_site: Site, engine_home: Path) -> None:
    assert engine_home.is_dir()
    ended = real_site.invoke("deploy")

    assert ended.exit_code == 0, ended.text
    host = real_site.report()["hosts"][0]
    assert {finding["state"] for finding in host["smoke"]} == {"ok"}
    assert {"tool-call", "tool-call-streamed", "chat-streamed"} <= {finding["check"] for finding in host["smoke"]}
    assert host["bench"][0]["medians"]["output_throughput"] > 0
    assert host["verdict"] in {"no-baseline", "pass"}
    assert host["curl"] in ended.stdout
    started = json.loads(min(real_site.runs.glob("*/report.json")).read_text())["hosts"][0]["startup"]
    timed = {stage["name"] for stage in started["stages"] if stage["source"] == "engine" and stage["seconds"] > 0}
    assert timed == {"process", "load", "kv-cache", "warm-up"}


@pytest.mark.soak
def test_deploy_again_changes_and_restarts_nothing(served: Site) -> None:
    process, release = process_of(served), served.link("current")

    ended = served.invoke("deploy")

    assert ended.exit_code == 0, ended.text
    assert served.report()["hosts"][0]["outcome"] == "unchanged"
    assert (process_of(served), served.link("current")) == (process, release)


def test_no_secret_is_in_any_argv_file_or_report(served: Site) -> None:
    key = (served.home / "secrets" / "api.key").read_text().strip()
    assert len(key) >= 32

    argvs = [entry.read_bytes() for entry in Path("/proc").glob("[0-9]*/cmdline") if os.access(entry, os.R_OK)]
    assert any(b"sglang" in argv for argv in argvs)
    assert not [argv for argv in argvs if key.encode() in argv]
    files = [path for root in (served.runs, served.home) for path in root.rglob("*") if path.is_file()]
    holders = {path for path in files if path.stat().st_size < 5_000_000 and key.encode() in path.read_bytes()}
    assert {path.parent.name for path in holders} == {"secrets"}
    assert {path.stat().st_mode & 0o777 for path in holders} == {0o600}


def test_endpoint_refuses_a_request_without_the_key_and_listens_on_loopback(served: Site) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{served.port}/v1/models")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 401
    listening = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    addresses = {fields[1].split(":")[0] for fields in listening if fields[1].endswith(f":{served.port:04X}")}
    assert addresses == {"0100007F"}


@pytest.mark.soak
def test_crashed_engine_is_started_again(served: Site) -> None:
    process = process_of(served)
    os.kill(process, signal.SIGKILL)

    until(lambda: process_of(served) not in (0, process), 60, "another engine process")
    until(lambda: served.invoke("status", "--json").document[0]["state"] == "serving", 120, "it serves again")


@pytest.mark.soak
def test_engine_that_dies_at_its_start_gives_way(served: Site) -> None:
    serving = served.link("serving")
    served.set(environment={"SGLANG_USE_CPU_ENGINE": "0"})

    ended = served.invoke("deploy", "--no-bench")

    assert ended.exit_code == 5, ended.text
    assert any(line.startswith("  | ") for line in ended.stderr.splitlines())
    assert "fix: read the log lines" in ended.stderr
    assert served.link("serving") == served.link("current") == serving
    served.set(environment=None)
    assert served.invoke("verify").exit_code == 0


@pytest.mark.soak
def test_engine_that_finds_less_memory_than_was_planned_gives_way(served: Site) -> None:
    """SGLang starts with what it finds, and says so; only the plan knows that it is too little."""
    serving = served.link("serving")
    served.set(max_total_tokens=20_000_000_000)

    ended = served.invoke("deploy", "--no-bench")
    served.set(max_total_tokens=None)

    assert ended.exit_code == 5, ended.text
    assert "tokens, 20000000000 were planned" in ended.stderr
    assert "or lower fleet_context_length" in ended.stderr
    assert served.link("serving") == served.link("current") == serving
    assert served.invoke("verify").exit_code == 0


@pytest.mark.soak
def test_engine_that_the_kernel_kills_for_memory_gives_way(served: Site) -> None:
    serving = served.link("serving")
    served.set(context_length=12288)

    with little_memory(served, A_FEW_BYTES):
        running = served.start("deploy", "--no-bench")
        running.wait_for("going back to")
    ended = running.end()

    assert ended.exit_code == 5, ended.text
    assert "as the kernel does where the host's memory is out" in ended.stderr
    assert served.link("serving") == served.link("current") == serving
    served.set(context_length=None)
    assert served.invoke("verify").exit_code == 0


@contextmanager
def little_memory(site: Site, limit: int) -> Iterator[None]:
    """Let whatever the site's service manager starts in the context have `limit` bytes, by a memory cgroup."""
    manager = int((site.home / "supervisor" / "supervisord.pid").read_text())
    version_1 = Path("/sys/fs/cgroup/memory")
    root, limits = (
        (version_1, "memory.limit_in_bytes") if version_1.is_dir() else (Path("/sys/fs/cgroup"), "memory.max")
    )
    group = root / f"fleet-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / limits).write_text(str(limit))
        (group / "cgroup.procs").write_text(str(manager))
        yield
    finally:
        (group / limits).write_text("-1" if version_1.is_dir() else "max")
        for process in (group / "cgroup.procs").read_text().split():
            (root / "cgroup.procs").write_text(process)
        group.rmdir()


@pytest.mark.soak
def test_engine_that_is_not_healthy_in_time_gives_way(served: Site) -> None:
    serving = served.link("serving")
    served.set(health_deadline_s=1)

    ended = served.invoke("deploy", "--no-bench")

    assert ended.exit_code == 5, ended.text
    assert "not healthy" in ended.stderr
    assert served.link("serving") == served.link("current") == serving


@pytest.mark.soak
def test_ctrl_c_while_the_real_engine_starts(served: Site) -> None:
    serving = served.link("serving")
    served.set(context_length=24576)
    running = served.start("deploy", "--no-bench")
    running.wait_for("local  start")
    running.interrupt()

    ended = running.end()

    assert ended.exit_code == 130, ended.text
    assert served.link("serving") == served.link("current") == serving
    assert served.invoke("status", "--json").document[0]["state"] == "serving"


@pytest.mark.soak
def test_engine_that_dies_in_the_benchmark_is_a_failed_verification(served: Site) -> None:
    serving = served.link("serving")
    served.set(context_length=20480)
    running = served.start("deploy")
    running.wait_for("local  bench")
    os.kill(process_of(served), signal.SIGKILL)

    ended = running.end()

    assert ended.exit_code == 5, ended.text
    assert "benchmark" in ended.stderr
    assert served.link("serving") == served.link("current") == serving


@pytest.mark.soak
def test_slower_than_a_baseline_is_exit_code_6_and_the_release_stays(served: Site) -> None:
    recorded = served.invoke("bench", "--repeats", "1", "--save-baseline")
    assert recorded.exit_code == 0, recorded.text
    file = served.directory / "baselines" / "local.json"
    baselines = json.loads(file.read_text())
    for metric in baselines["baselines"][0]["metrics"]:
        baselines["baselines"][0]["metrics"][metric] *= 100 if metric.endswith("_throughput") else 0.01
    file.write_text(json.dumps(baselines))

    ended = served.invoke("bench", "--repeats", "1")
    file.unlink()

    assert ended.exit_code == 6, ended.text
    assert "slower than its baseline" in ended.stderr
    assert served.invoke("status", "--json").document[0]["state"] == "serving"


@pytest.mark.soak
def test_killed_controller_while_the_real_engine_starts(served: Site) -> None:
    before = served.link("current")
    served.set(context_length=16384)
    running = served.start("deploy", "--no-bench")
    running.wait_for("start")
    running.kill()
    running.end()

    until(lambda: served.link("serving") == before, 60, "the guard brings the proven release back")
    converged = served.invoke("deploy", "--no-bench")
    assert converged.exit_code == 0, converged.text
    assert served.link("current") != before
    models = json.loads(served.invoke("status", "--json").stdout)
    assert models[0]["state"] == "serving"


class Asking:
    """A streamed request for so many tokens, read by a thread of its own."""

    def __init__(self, site: Site, tokens: int) -> None:
        body = {"text": "x", "stream": True, "sampling_params": {"max_new_tokens": tokens, "ignore_eos": True}}
        name, _, value = (site.home / "secrets" / "auth.header").read_text().strip().partition(": ")
        headers = {name: value, "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{site.port}/generate"
        self._request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        self.lines: list[str] = []
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()
        until(lambda: bool(self.lines), ASK_S, "the first token comes")

    def _ask(self) -> None:
        with suppress(OSError, http.client.HTTPException), urllib.request.urlopen(self._request, timeout=ASK_S) as got:
            self.lines += (line.decode().strip() for line in got if line.strip())

    def tokens_at_the_end(self) -> int:
        """Wait for the end; return the tokens of a whole answer, 0 for one that was cut off."""
        self.thread.join(ASK_S)
        assert not self.thread.is_alive(), "the client still waits"
        if self.lines[-1] != "data: [DONE]":
            return 0
        return int(json.loads(self.lines[-2].removeprefix("data: "))["meta_info"]["completion_tokens"])


@pytest.mark.soak
def test_a_switch_waits_for_running_requests_until_its_deadline(served: Site) -> None:
    before = served.link("current")
    deploying = served.set(context_length=8192, drain_deadline_s=1).start("deploy", "--no-bench")
    deploying.wait_for("local  install")
    answered = Asking(served, A_FEW_TOKENS)
    deployed = deploying.end()
    assert deployed.exit_code == 0, deployed.text
    assert served.link("current") != before
    assert answered.tokens_at_the_end() == A_FEW_TOKENS

    cut_off = Asking(served, MORE_TOKENS_THAN_IT_CAN_MAKE)
    back = served.invoke("rollback")

    assert back.exit_code == 0, back.text
    assert served.link("serving") == served.link("current") == before
    assert cut_off.tokens_at_the_end() == 0


def test_connect_prints_lines_that_work(served: Site) -> None:
    client = served.invoke("connect", "--once", "--json").document
    answer = os.popen(client["curl"]).read()  # noqa: S605 - the line is the subject: it is meant for a shell
    assert json.loads(answer)["object"] == "chat.completion"
    assert client["base_url"] == f"http://127.0.0.1:{served.port}/v1"
