"""Where a file of questions comes from, and what is refused."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

import httpx
import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet import data_files
from devstral_fleet.catalog.accuracy import AccuracyBenchmark
from devstral_fleet.errors import ConfigurationError, VerificationError
from devstral_fleet.shell import LocalShell
from devstral_fleet.workflows.accuracy import Wish, prepare
from tests.support.answering_server import questions

TEXT = questions(1319)
CONTENT = TEXT.encode()
GSM8K = (
    catalogs.load()
    .accuracy["gsm8k"]
    .model_copy(
        update={"sha256": hashlib.sha256(CONTENT).hexdigest(), "size_bytes": len(CONTENT), "url": "http://127.0.0.1:9/"}
    )
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's proxy is not asked for the loopback."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The inventory's directory."""
    (tmp_path / "site").mkdir()
    return tmp_path / "site"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The toolkit's cache, which is not there yet."""
    return tmp_path / "cache"


def put(folder: Path, content: bytes = CONTENT) -> Path:
    """Put a file where the benchmark's is looked for."""
    path = folder / "data" / GSM8K.file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


@contextmanager
def download(content: bytes, status: int = 200, length: int | None = None) -> Iterator[AccuracyBenchmark]:
    """Give the benchmark whose URL answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) if length is None else length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield GSM8K.model_copy(update={"url": f"http://127.0.0.1:{server.server_port}/test.jsonl"})
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_the_catalogs_hash_is_of_the_file_as_it_was_released() -> None:
    shipped = catalogs.load().accuracy["gsm8k"]
    assert shipped.sha256 == "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14"
    assert (shipped.rows, shipped.size_bytes) == (1319, 749738)


def test_the_sites_file_comes_before_the_caches(site: Path, cache: Path) -> None:
    put(cache, b"not looked at")
    put(site)
    found = data_files.find(GSM8K, given="", inventory=site, cache=cache)
    assert (found.sha256, found.rows, found.text) == (GSM8K.sha256, 1319, TEXT)


def test_the_cache_saves_a_download(site: Path, cache: Path) -> None:
    put(cache)
    assert data_files.find(GSM8K, given="", inventory=site, cache=cache).rows == 1319


@pytest.mark.parametrize("where", ["site", "cache"])
def test_another_file_in_its_place_is_refused(site: Path, cache: Path, where: str) -> None:
    path = put({"site": site, "cache": cache}[where], CONTENT[:-40])
    with pytest.raises(ConfigurationError, match="is not GSM8K's file: its SHA-256 is") as caught:
        data_files.find(GSM8K, given="", inventory=site, cache=cache)
    assert str(path) in caught.value.message
    assert "remove it, or bring the right one" in caught.value.fix


def test_the_operators_own_file_may_be_another(site: Path, cache: Path) -> None:
    own = site / "own.jsonl"
    own.write_text(questions(20))
    found = prepare(GSM8K, Wish(data=str(own)), site, cache)
    assert (found.questions, found.file.rows, found.file.sha256 == GSM8K.sha256) == (20, 20, False)


@pytest.mark.parametrize("wish", [Wish(data="own.jsonl", save_baseline=True), Wish(questions=199, save_baseline=True)])
def test_what_would_not_be_judged_is_no_baseline(
    site: Path, cache: Path, wish: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site)
    (site / "own.jsonl").write_text(questions(400))
    put(site)
    with pytest.raises(ConfigurationError, match=r"this can be nobody's baseline: (another data file|too few)"):
        prepare(GSM8K, wish, site, cache)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"question": "q", "answer": "1"}\n\xff\n', r"own\.jsonl:2: this is no UTF-8"),
        (b"{", r"own\.jsonl:1: the line"),
    ],
)
def test_a_file_that_holds_no_questions_is_refused(site: Path, cache: Path, content: bytes, said: str) -> None:
    (site / "own.jsonl").write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        data_files.find(GSM8K, given=str(site / "own.jsonl"), inventory=site, cache=cache)


@pytest.mark.parametrize("name", ["absent.jsonl", "."])
def test_a_file_that_cannot_be_read_is_refused(site: Path, cache: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        data_files.find(GSM8K, given=str(site / name), inventory=site, cache=cache)


def test_a_download_is_kept(site: Path, cache: Path) -> None:
    with download(CONTENT) as benchmark:
        assert data_files.find(benchmark, given="", inventory=site, cache=cache).rows == 1319
    assert [path.name for path in (cache / "data").iterdir()] == [GSM8K.file]
    assert data_files.find(GSM8K, given="", inventory=site, cache=cache).sha256 == GSM8K.sha256


@pytest.mark.parametrize(
    ("content", "status", "length", "said"),
    [
        (CONTENT[:-1] + b" ", 200, None, "gives is not GSM8K's file"),
        (CONTENT + b"{}", 200, None, "gives is not GSM8K's file"),
        (CONTENT[:1000], 200, len(CONTENT), "could not be downloaded"),
        (b"gone", 404, None, "404"),
    ],
)
def test_a_bad_download_leaves_nothing(
    site: Path, cache: Path, content: bytes, status: int, length: int | None, said: str
) -> None:
    with download(content, status, length) as benchmark:
        with pytest.raises(ConfigurationError, match=said) as caught:
            data_files.find(benchmark, given="", inventory=site, cache=cache)
        assert (
            f"curl -o {GSM8K.file} {benchmark.url}; then bring it here as {site}/data/{GSM8K.file}" in caught.value.fix
        )
    assert not cache.exists()


def test_without_a_network_the_fix_says_what_to_bring(site: Path, cache: Path) -> None:
    with pytest.raises(ConfigurationError, match="questions could not be downloaded: ") as caught:
        data_files.find(GSM8K, given="", inventory=site, cache=cache)
    assert f"{site}/data/{GSM8K.file}" in caught.value.fix


def test_a_download_that_trickles_ends(site: Path) -> None:
    del site
    ticks = iter(range(0, 10_000, 100))
    with download(CONTENT) as benchmark, pytest.raises(httpx.ReadTimeout, match="not in 60 s"):
        data_files._fetched(benchmark, clock=lambda: float(next(ticks)))


def test_the_host_gets_the_bytes_and_nobody_else_reads_them(tmp_path: Path, site: Path, cache: Path) -> None:
    put(site)
    file = data_files.find(GSM8K, given="", inventory=site, cache=cache)
    target = tmp_path / "jobs" / "run-1" / "data.jsonl"
    data_files.bring(LocalShell(), file, PurePosixPath(target))
    assert target.read_bytes() == CONTENT
    assert (target.stat().st_mode & 0o777, target.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_what_arrives_otherwise_is_an_error(tmp_path: Path, site: Path, cache: Path) -> None:
    put(site)
    file = data_files.find(GSM8K, given="", inventory=site, cache=cache).model_copy(update={"sha256": "0" * 64})
    with pytest.raises(VerificationError, match="bytes came, and they are not what was sent"):
        data_files.bring(LocalShell(), file, PurePosixPath(tmp_path / "data.jsonl"))
    assert not (tmp_path / "data.jsonl").exists()
