"""The checkout as lint and contract tests see it: its files, its Python functions, its programs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "devstral_fleet"

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Definition(NamedTuple):
    """One function of the toolkit: where it stands and how many lines it has."""

    path: Path
    node: Function

    @property
    def span(self) -> int:
        """Lines from `def` to the end, signature and docstring included."""
        return (self.node.end_lineno or 0) - self.node.lineno + 1

    @property
    def lines(self) -> int:
        """Lines of the body without its docstring: what a reader must follow."""
        body = self.node.body
        first = body[1] if _is_text(body[0]) and len(body) > 1 else body[0]
        return (self.node.end_lineno or 0) - first.lineno + 1

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.node.lineno} {self.node.name}"


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


@cache
def files() -> tuple[Path, ...]:
    """Every file git tracks or would track; never what .gitignore names. Works in another user's checkout."""
    argv = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return tuple(path for path in paths if path.is_file() and not path.is_symlink())


def matching(*patterns: str) -> list[Path]:
    """Files whose name or path below the root matches one of the glob patterns, sorted."""
    return sorted(path for path in files() if any(path.relative_to(ROOT).match(pattern) for pattern in patterns))


def texts(*patterns: str) -> Iterator[tuple[Path, str]]:
    """Matching files with their text; a file that is not text is left out."""
    for path in matching(*patterns):
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def toolkit() -> list[Path]:
    """The Python files of the toolkit: devstral_fleet and tasks.py."""
    return sorted([*PACKAGE.rglob("*.py"), ROOT / "tasks.py"])


@cache
def definitions() -> tuple[Definition, ...]:
    """Every function and method of the toolkit, nested ones too."""
    nodes = ((path, node) for path in toolkit() for node in ast.walk(ast.parse(path.read_text())))
    return tuple(Definition(path, node) for path, node in nodes if isinstance(node, Function))


def program(name: str) -> str:
    """Path of a program of this environment; a lint layer whose program is absent fails here."""
    path = Path(sys.executable).parent / name
    assert path.is_file(), f"{name} is not in {path.parent}; run `make test`, which installs requirements/dev.lock"
    return str(path)


def clean(*argv: str, environment: dict[str, str] | None = None) -> None:
    """Assert that a linter ends with 0; what it said is the message."""
    result = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300)
    assert result.returncode == 0, (
        f"{Path(argv[0]).name} ended with {result.returncode}\n{result.stdout}{result.stderr}"
    )
