"""Files into parts: a tar, packed by zstd with a window that sees a whole library, cut to sizes that can be carried."""

import hashlib
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import zstandard

from devstral_fleet.bundle.manifest import FileDigest, part_name
from devstral_fleet.errors import ConfigurationError

LEVEL = 12
"""Half of the best ratio's gain for a tenth of its time."""
WINDOW_LOG = 30
"""1 GiB: the kernels of one library resemble each other over hundreds of MB. Unpacking takes as much memory."""
CHUNK = 1 << 20


def digest(path: Path, name: str) -> FileDigest:
    """Name a file by its content."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return FileDigest(name=name, sha256=found.hexdigest(), size_bytes=path.stat().st_size)


def digests(files: Mapping[str, Path]) -> tuple[FileDigest, ...]:
    """Name each file {name in the bundle: path here}, by name."""
    return tuple(digest(path, name) for name, path in sorted(files.items()))


def pack(
    files: Mapping[str, Path], known: Iterable[FileDigest], folder: Path, bundle: str, part_bytes: int
) -> tuple[FileDigest, ...]:
    """Write the files' parts into a folder, none larger than `part_bytes`; return them in their order.

    The same files give the same tar: no time, owner or order of this machine is in it.

    Args:
        known: what `digests` said of the files.

    Raises:
        ConfigurationError: a file has changed since.
    """
    pieces = _Pieces(folder, part_bytes)
    settings = zstandard.ZstdCompressionParameters.from_level(
        LEVEL, window_log=WINDOW_LOG, enable_ldm=True, threads=os.cpu_count() or 1
    )
    packer = zstandard.ZstdCompressor(compression_params=settings)
    with (
        _ended(pieces),
        packer.stream_writer(cast("IO[bytes]", pieces), closefd=False) as out,
        tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for one in known:
            _add(tar, one, files[one.name])
    parts = pieces.paths
    names = [part_name(bundle, number, len(parts)) for number in range(1, len(parts) + 1)]
    return tuple(digest(path.rename(folder / name), name) for path, name in zip(parts, names, strict=True))


def _add(tar: tarfile.TarFile, known: FileDigest, path: Path) -> None:
    member = tarfile.TarInfo(known.name)
    member.size = path.stat().st_size
    member.mode = 0o755 if os.access(path, os.X_OK) else 0o644
    with path.open("rb") as file:
        tar.addfile(member, file)
    if digest(path, known.name) != known:
        raise ConfigurationError(
            f"{path} was changed while the bundle was made", fix="leave the checkout alone meanwhile, make it again"
        )


class _Pieces:
    """A file to write to that begins another piece where one is full."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        self.paths: list[Path] = []
        self._file = self._next()

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            if self._file.tell() == self._size:
                self._file.close()
                self._file = self._next()
            taken = rest[: self._size - self._file.tell()]
            self._file.write(taken)
            rest = rest[len(taken) :]
        return len(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _next(self) -> IO[bytes]:
        path = self._folder / f".piece-{len(self.paths):03d}"
        self.paths.append(path)
        return path.open("wb")


@contextmanager
def _ended(pieces: _Pieces) -> Iterator[None]:
    """Close the last piece; an interrupted bundle leaves no piece behind."""
    try:
        yield
    except BaseException:
        pieces.close()
        for path in pieces.paths:
            path.unlink(missing_ok=True)
        raise
    pieces.close()
