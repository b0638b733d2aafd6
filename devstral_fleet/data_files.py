"""Files of questions: the operator's, the site's, the cache's, or downloaded; known by hash, brought to a host."""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import httpx

from devstral_fleet.bench import questions
from devstral_fleet.bench.questions import QuestionFile
from devstral_fleet.catalog.accuracy import AccuracyBenchmark
from devstral_fleet.errors import ConfigurationError, VerificationError
from devstral_fleet.redact import redact
from devstral_fleet.shell import Shell

FOLDER = "data"
"""Where the site keeps such files, in its inventory's directory; the cache's folder has the same name."""
DOWNLOAD_S = 60.0
STALLED_S = 15.0
BRING_S = 120.0

# Runs on the host: a job's directory is made by who comes first.
_BRING = r"""
import hashlib, os, pathlib, sys
path, wanted = pathlib.Path(sys.argv[1]), sys.argv[2]
content = sys.stdin.buffer.read()
if hashlib.sha256(content).hexdigest() != wanted:
    sys.exit("%d bytes came, and they are not what was sent" % len(content))
os.umask(0o077)
path.parent.mkdir(parents=True, exist_ok=True)
path.write_bytes(content)
"""


def find(benchmark: AccuracyBenchmark, *, given: str, inventory: Path, cache: Path) -> QuestionFile:
    """Read the operator's own file, else the benchmark's: the site's, else the cache's, else downloaded into the cache.

    Args:
        given: path of the operator's, '' for none; it may be another one than the benchmark's.
        inventory: directory of the inventory.

    Raises:
        ConfigurationError: there is none and none can be had; it is not the benchmark's; it holds no questions.
    """
    if given:
        return _parsed(Path(given).expanduser(), _bytes(Path(given).expanduser()))
    site, cached = (folder / FOLDER / benchmark.file for folder in (inventory, cache))
    path = site if site.exists() else cached
    if not path.exists():
        _download(benchmark, cached, site)
    content = _bytes(path)
    if _hash(content) != benchmark.sha256:
        raise ConfigurationError(
            f"{path} is not {benchmark.title}'s file: its SHA-256 is {_hash(content)}, not {benchmark.sha256}",
            fix=f"remove it, or bring the right one: {benchmark.url}",
        )
    return _parsed(path, content)


def bring(shell: Shell, file: QuestionFile, path: PurePosixPath) -> None:
    """Write the file on a host, its folder too (0700); what arrives is compared by its hash.

    Raises:
        VerificationError: it could not be written, or arrived otherwise.
    """
    words = ["python3", "-I", "-c", _BRING, str(path), file.sha256]
    result = shell.run(words, stdin=file.text, timeout_s=BRING_S)
    if not result.ok:
        lines = redact(result.stderr or result.stdout).strip().splitlines() or [f"python3 ended {result.exit_status}"]
        what = f"{shell.host}: the questions could not be written to {path}: {lines[-1]}"
        raise VerificationError(what, fix="run the verb again", evidence=lines, host=shell.host)


def _parsed(path: Path, content: bytes) -> QuestionFile:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{path}:{line}: this is no UTF-8", fix="name a file of JSON lines") from error
    return QuestionFile(text=text, sha256=_hash(content), rows=questions.rows(text, str(path)))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}", fix="name a file that you may read"
        ) from error


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _download(benchmark: AccuracyBenchmark, target: Path, site: Path) -> None:
    """Fetch the file whole, or leave nothing."""
    fix = f"on a machine with a network: curl -o {benchmark.file} {benchmark.url}; then bring it here as {site}"
    try:
        content = _fetched(benchmark)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        what = str(error) or type(error).__name__
        raise ConfigurationError(f"{benchmark.title}'s questions could not be downloaded: {what}", fix=fix) from error
    if _hash(content) != benchmark.sha256:
        what = f"what {benchmark.url} gives is not {benchmark.title}'s file: its SHA-256 is {_hash(content)}"
        raise ConfigurationError(what, fix=fix)
    _write(target, content)


def _fetched(benchmark: AccuracyBenchmark, clock: Callable[[], float] = time.monotonic) -> bytes:
    """Read no more than the file has, and one byte, and no longer than DOWNLOAD_S."""
    content, began = b"", clock()
    with httpx.stream("GET", benchmark.url, follow_redirects=True, timeout=STALLED_S) as answer:
        answer.raise_for_status()
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > benchmark.size_bytes:
                break
            if clock() - began > DOWNLOAD_S:
                raise httpx.ReadTimeout(f"not in {DOWNLOAD_S:.0f} s")
    return content


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(partial).replace(target)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
