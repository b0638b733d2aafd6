"""Probes: parsers against recorded outputs, commands for real on this machine."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstral_fleet.errors import ProbeError
from devstral_fleet.layout import HostLayout
from devstral_fleet.probes import docker, engine, engine_start, host, log, output, port, releases, service, versions
from devstral_fleet.shell import TIMED_OUT, CommandResult, LocalShell
from tests.support.values import PLAN

CASES = Path(__file__).parent / "cases" / "probes"
PARSERS: dict[str, Callable[[str], Any]] = {
    "docker": docker.parse,
    "engine": engine.parse,
    "engine_start": engine_start.parse,
    "host": host.parse,
    "port": port.parse,
    "releases": releases.parse,
    "service": service.parse,
    "versions": versions.parse,
}
LISTED = [(name, case) for name in PARSERS for case in yaml.safe_load((CASES / f"{name}.yml").read_text())]


@pytest.mark.parametrize(("probe", "case"), LISTED, ids=[f"{name}: {case['name']}" for name, case in LISTED])
def test_parse(probe: str, case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(ProbeError, match=case["error"]) as caught:
            PARSERS[probe](case["output"])
        assert probe in caught.value.message
        return
    facts = PARSERS[probe](case["output"]).model_dump(mode="json")
    assert {key: facts[key] for key in case["facts"]} == case["facts"]


@pytest.fixture
def layout(tmp_path: Path) -> HostLayout:
    return HostLayout.of(str(tmp_path))


def test_this_machine_as_a_host(layout: HostLayout) -> None:
    facts = host.read(LocalShell(), layout, python=sys.executable)
    assert facts.hostname == socket.gethostname()
    assert facts.cpu_count == len(os.sched_getaffinity(0))
    assert facts.python_version == ".".join(map(str, sys.version_info[:3]))
    assert facts.has_venv
    assert 0 < facts.memory_available_gib <= facts.memory_gib
    assert facts.disk_free_gib > 0


def test_a_host_without_that_python_and_without_the_home(tmp_path: Path) -> None:
    facts = host.read(LocalShell(), HostLayout.of(f"{tmp_path}/not/yet"), python="python-of-nowhere")
    assert (facts.python_version, facts.has_venv) == ("", False)
    assert facts.disk_free_gib > 0


def test_a_listener_is_found_with_its_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
        facts = port.read(LocalShell(), number)
    assert (facts.listening, facts.pid) == (True, os.getpid())
    assert facts.command
    assert not port.read(LocalShell(), number).listening


def test_a_host_without_a_service(layout: HostLayout) -> None:
    assert service.read(LocalShell(), layout).state == "absent"


def test_supervisorctl_of_the_home_is_asked(layout: HostLayout, tmp_path: Path) -> None:
    program = tmp_path / "supervisor" / "venv" / "bin" / "supervisorctl"
    program.parent.mkdir(parents=True)
    program.write_text(
        "#!/bin/sh\n"
        '[ "$*" = "-c $EXPECTED status engine" ] && echo "engine  STARTING"\n'
        '[ "$*" = "-c $EXPECTED pid engine" ] && echo 7\n'
    )
    program.chmod(0o755)
    configuration = tmp_path / "supervisor" / "supervisord.conf"
    configuration.touch()
    program.write_text(program.read_text().replace("$EXPECTED", str(configuration)))
    facts = service.read(LocalShell(), layout)
    assert (facts.manager, facts.state, facts.pid) == ("supervisor", "starting", 7)


def test_two_homes_have_two_units() -> None:
    one, other = (HostLayout.of(home).unit for home in ("/opt/a", "/opt/b"))
    assert one != other
    assert one.startswith("devstral-fleet-")
    assert one.endswith(".service")
    assert len(one) == len("devstral-fleet-12345678.service")


def test_releases_on_disk(layout: HostLayout, tmp_path: Path) -> None:
    for id, digest in (("20261102T000000Z-b", "b"), ("20261101T000000Z-a", "a")):
        folder = tmp_path / "releases" / id
        folder.mkdir(parents=True)
        document = {
            "id": id,
            "digest": digest,
            "created": "2026-11-01T00:00:00Z",
            "model": "two\nlines",
            "plan": PLAN.model_dump(mode="json"),
        }
        (folder / "release.json").write_text(json.dumps(document, indent=2))
    (tmp_path / "releases" / "20261103T000000Z-c").mkdir()
    (tmp_path / "serving").symlink_to("releases/20261102T000000Z-b")
    (tmp_path / "current").symlink_to(tmp_path / "releases" / "20261101T000000Z-a")
    facts = releases.read(LocalShell(), layout)
    assert [(release.id[-1], release.digest) for release in facts.releases] == [("a", "a"), ("b", "b"), ("c", "")]
    assert facts.releases[0].model == "two\nlines"
    assert (facts.serving[-1], facts.current[-1], facts.previous) == ("b", "a", "")
    assert releases.read_plan(LocalShell(), layout, "20261102T000000Z-b") == PLAN


def test_a_plan_of_another_schema_is_refused() -> None:
    with pytest.raises(ProbeError, match="a plan of another schema"):
        releases.parse_plan('{"plan": {"schema_version": 2}}')


def test_a_release_that_is_not_there_is_an_error(layout: HostLayout) -> None:
    with pytest.raises(ProbeError, match="releases probe failed") as caught:
        releases.read_plan(LocalShell(), layout, "gone")
    assert "No such file" in caught.value.evidence[0]


def test_versions_of_an_environment(tmp_path: Path) -> None:
    environment = tmp_path / "environments" / "abc"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    metadata = next((environment / "lib").glob("python3*/site-packages")) / "sglang-0.5.20.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sglang\nVersion: 0.5.20\n")
    facts = versions.read(LocalShell(), [str(environment / "bin" / "python")])
    assert (facts.sglang, facts.transformers) == ("0.5.20", "")
    with pytest.raises(ProbeError, match="versions probe failed"):
        versions.read(LocalShell(), ["/absent/python"])


KEY = "a-secret-key-4711"
MODELS = {"object": "list", "data": [{"id": "devstral-tiny", "max_model_len": 8192}]}
INFO = {"version": "0.5.20", "api_key": KEY, "harmless": f"holds {KEY} too", "max_total_num_tokens": 100}


class _Engine(http.server.BaseHTTPRequestHandler):
    """Answers as SGLang does: /health to everyone, the rest to who has the key."""

    health = 200

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == f"Bearer {KEY}"
        documents: dict[str, object] = {"/v1/models": MODELS, "/server_info": INFO}
        status = self.health if self.path == "/health" else 200 if allowed else 401
        body = json.dumps(documents.get(self.path)).encode() if status == 200 else b""
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


class _Starting(_Engine):
    health = 503


@pytest.fixture
def served() -> Iterator[Callable[[type[_Engine]], str]]:
    servers: list[http.server.HTTPServer] = []

    def serve(kind: type[_Engine]) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def keyed(layout: HostLayout) -> HostLayout:
    secrets = Path(layout.secrets)
    secrets.mkdir(mode=0o700)
    (secrets / "auth.header").write_text(f"Authorization: Bearer {KEY}\n")
    return layout


class _Recording(LocalShell):
    """Keeps what the host printed, to look for the key in it."""

    printed = ""

    def run(self, *arguments: Any, **options: Any) -> CommandResult:
        result = super().run(*arguments, **options)
        self.printed += result.stdout + result.stderr + " ".join(result.argv)
        return result


def test_an_engine_is_asked_with_the_key_that_stays_on_the_host(
    keyed: HostLayout, served: Callable[[type[_Engine]], str]
) -> None:
    shell = _Recording()
    facts = engine.read(shell, keyed, served(_Engine))
    assert (facts.healthy, facts.model_id, facts.max_model_len) == (True, "devstral-tiny", 8192)
    assert facts.server_info["max_total_num_tokens"] == 100
    assert facts.server_info["version"] == "0.5.20"
    assert KEY not in shell.printed
    assert KEY not in facts.model_dump_json()


def test_an_engine_that_starts_or_wants_another_key(layout: HostLayout, served: Callable[[type[_Engine]], str]) -> None:
    starting = engine.read(LocalShell(), layout, served(_Starting))
    assert (starting.healthy, starting.health_status) == (False, 503)
    keyless = engine.read(LocalShell(), layout, served(_Engine))
    assert (keyless.healthy, keyless.model_id, keyless.server_info) == (True, "", {})


def test_an_engine_that_is_not_there(layout: HostLayout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        number = unused.getsockname()[1]
    facts = engine.read(LocalShell(), layout, f"http://127.0.0.1:{number}")
    assert (facts.healthy, facts.health_status) == (False, 0)


def test_the_start_of_a_process_and_what_its_log_says_of_it(layout: HostLayout, tmp_path: Path) -> None:
    case = yaml.safe_load((CASES / "engine_start.yml").read_text())[0]
    *lines, last = case["output"].partition("--\n")[2].splitlines()
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "engine.log.1").write_text(
        "".join(f"{line}\n" for line in ("[2026-11-23 17:11:05] x", *lines[:2]))
    )
    (tmp_path / "log" / "engine.log").write_text("".join(f"{line}\n" for line in (*lines[2:], last, "no stamp")))
    with subprocess.Popen(["sleep", "60"]) as process:
        seen = engine_start.read(LocalShell(), layout, process.pid)
        process.kill()
    assert seen.age_s is not None
    assert 0 <= seen.age_s < 30
    old = engine_start.read(LocalShell(), layout, 1)
    assert old.log.model_dump(mode="json") == case["facts"]["log"]
    assert old.age_s is not None
    assert old.age_s > seen.age_s
    assert engine_start.read(LocalShell(), HostLayout.of("/nonexistent"), process.pid) == engine_start.parse("")


def test_the_log_ends_with_its_last_lines(layout: HostLayout, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "engine.log.1").write_text("old 1\nold 2\n")
    (tmp_path / "log" / "engine.log").write_text("\x1b[32mgreen\x1b[0m\n 10%\r 100%\n\nkey: Bearer abcdefgh\n")
    assert log.read(LocalShell(), layout, lines=4) == ("old 2", "green", " 100%", "key: Bearer [removed]")
    assert log.read(LocalShell(), HostLayout.of("/nonexistent")) == ()


@pytest.mark.parametrize(
    ("result", "words", "fix"),
    [
        (
            CommandResult(("python3", "-"), 127, "", "python3: not found"),
            "python3 is missing there",
            "apt-get install python3",
        ),
        (CommandResult(("sh",), TIMED_OUT, "", ""), "its command did not end within 3 s", ""),
        (CommandResult(("sh",), 2, "", "a\nb"), "its command ended 2", ""),
    ],
)
def test_a_failed_probe_is_said(result: CommandResult, words: str, fix: str) -> None:
    error = output.failed("gpu01", "host", result, 3)
    assert error.message == f"gpu01: the host probe failed: {words}"
    assert fix in error.fix
    assert list(error.evidence) == result.stderr.splitlines()
