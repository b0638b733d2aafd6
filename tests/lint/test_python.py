"""Python: style, format, types, and the layers of the design (docs/architecture.md)."""

from pathlib import Path

from tests.support.tree import clean, program


def test_ruff_finds_nothing() -> None:
    clean(program("ruff"), "check", "--quiet", "--no-cache", ".")


def test_ruff_would_format_nothing() -> None:
    clean(program("ruff"), "format", "--check", "--quiet", "--no-cache", ".")


def test_mypy_strict_finds_nothing(tmp_path: Path) -> None:
    # A cache of its own: mypy's shared one remembers that a module was absent when it has long come.
    clean(program("mypy"), "--strict", "--no-error-summary", "--cache-dir", str(tmp_path))


def test_modules_keep_their_layers(tmp_path: Path) -> None:
    clean(program("lint-imports"), "--no-logo", "--cache-dir", str(tmp_path))
