"""What a person gets wrong: exit code 2 or 3, one sentence, the fix; nothing contacted or changed."""

from pathlib import Path

import pytest

from tests.support.fleet import Site
from tests.support.ports import free_port


@pytest.fixture
def plain_site(tmp_path: Path) -> Site:
    """A site that nothing was deployed to."""
    return Site(tmp_path, tmp_path / "home", free_port()).set()


CASES = {
    "unknown host": (("plan", "--host", "locl"), {}, 2, ("locl", "local")),
    "raw address": (("plan", "--host", "192.0.2.7"), {}, 2, ("invoke init --host", "192.0.2.7")),
    "no host": (("plan", "--host="), {}, 2, ("--host",)),
    "unknown model": (("plan", "--model", "devstral-smal-2"), {}, 2, ("devstral-smal-2", "devstral-small-2")),
    "unknown GPU": (("plan",), {"hardware": "h10"}, 2, ("h10", "h100")),
    "unknown key": (("plan",), {"acelerator": "cpu"}, 2, ("fleet_acelerator", "fleet_accelerator")),
    "wrong type": (("plan",), {"port": "many"}, 2, ("fleet_port", "many")),
    "impossible context": (("plan", "--context-length", "999999999"), {}, 2, ("context",)),
    "impossible tp": (
        ("plan", "--tensor-parallel", "3"),
        {"accelerator": "nvidia", "hardware": "h100", "gpu_count": 8, "model": "devstral-2", "runtime": "container"},
        2,
        ("3",),
    ),
    "too large": (
        ("plan",),
        {"accelerator": "nvidia", "hardware": "h100", "gpu_count": 2, "model": "devstral-2", "runtime": "container"},
        2,
        ("GiB", "4"),
    ),
    "open listen address": (("plan",), {"listen": "0.0.0.0"}, 2, ("0.0.0.0",)),
    "no number": (("plan", "--context-length", "abc"), {}, 2, ("--context-length", "abc", "whole number")),
    "negative number": (("bench", "--repeats", "-3"), {}, 2, ("--repeats", "-3")),
    "negative context": (("plan",), {"context_length": -5}, 2, ("fleet_context_length", "-5")),
    "unknown workload": (("bench", "--workload", "chatt"), {}, 2, ("chatt", "did you mean chat")),
    "absent questions": (("accuracy", "--data", "no.jsonl"), {}, 2, ("no.jsonl", "cannot be read")),
    "no questions": (("accuracy", "--data", "README.md"), {}, 2, ("README.md:1", "each line is a question")),
    "unknown hardware": (("command", "--hardware", "h1000"), {}, 2, ("h1000", "h100")),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_wrong_words_end_with_2_and_the_fix(
    plain_site: Site, case: tuple[tuple[str, ...], dict[str, object], int, tuple[str, ...]]
) -> None:
    words, keys, exit_code, said = case
    plain_site.set(**keys)

    ended = plain_site.invoke(*words)

    assert ended.exit_code == exit_code, ended.text
    assert all(word in ended.stderr for word in said), ended.text
    assert "Traceback" not in ended.text
    assert not plain_site.home.exists()


def test_malformed_inventory_names_file_and_line(plain_site: Site) -> None:
    plain_site.inventory.write_text("all:\n  hosts:\n    local: {a: 1\n    other: ]\n")

    ended = plain_site.invoke("plan")

    assert ended.exit_code == 2, ended.text
    assert f"{plain_site.inventory}:4" in ended.stderr


@pytest.mark.parametrize("verb", ["deploy", "bench"])
def test_a_baseline_that_cannot_be_read_is_said_before_anything_is_changed(plain_site: Site, verb: str) -> None:
    file = plain_site.directory / "baselines" / "local.json"
    file.parent.mkdir()
    file.write_text('{"schema_version": 1,\n "baselines": [}')

    ended = plain_site.invoke(verb)

    assert ended.exit_code == 2, ended.text
    assert f"{file}:2" in ended.stderr
    assert not plain_site.home.exists()


@pytest.mark.parametrize("verb", ["verify", "bench", "connect"])
def test_what_asks_the_engine_says_that_nothing_serves(plain_site: Site, verb: str) -> None:
    ended = plain_site.invoke(verb)

    assert ended.exit_code == 5, ended.text
    assert f"nothing healthy answers on port {plain_site.port}" in ended.stderr
    assert ".venv/bin/invoke deploy --host local" in ended.stderr
    assert "Traceback" not in ended.text


def test_with_json_an_error_is_a_document_too(plain_site: Site) -> None:
    ended = plain_site.invoke("plan", "--host", "locl", "--json")

    assert ended.exit_code == 2, ended.text
    assert "locl" in ended.document["error"]["message"]
    assert ended.document["error"]["exit_code"] == 2


def test_missing_inventory_is_said(plain_site: Site) -> None:
    plain_site.inventory.unlink()

    ended = plain_site.invoke("plan")

    assert ended.exit_code == 2, ended.text
    assert str(plain_site.inventory) in ended.stderr


def test_host_that_does_not_answer_is_exit_code_3(plain_site: Site) -> None:
    text = plain_site.inventory.read_text().replace("ansible_connection: local", "ansible_connection: ssh")
    port = free_port()
    addition = f"\n      ansible_host: 127.0.0.1\n      ansible_port: {port}"
    plain_site.inventory.write_text(text.replace("ansible_connection: ssh", f"ansible_connection: ssh{addition}"))

    ended = plain_site.invoke("status")

    assert ended.exit_code == 3, ended.text
    assert str(port) in ended.text


def test_full_disk_is_named_before_anything_is_installed(plain_site: Site, tmp_path: Path) -> None:
    import subprocess

    small = tmp_path / "small"
    small.mkdir()
    plain_site.home = small / "home"
    plain_site.set()
    script = 'mount -t tmpfs -o size=8m none "$1" && shift && exec "$@"'
    words = [".venv/bin/invoke", "deploy", "--host", "local"]
    ended = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(small), *words],
        capture_output=True,
        text=True,
        env=plain_site.environment(),
        check=False,
    )

    assert ended.returncode == 5, ended.stdout + ended.stderr
    assert "disk" in ended.stderr + ended.stdout
    assert "GiB" in ended.stderr + ended.stdout
