"""Versions, GPU names and thresholds stand in the catalog and nowhere else."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest
import yaml

from tests.support.tree import PACKAGE, ROOT, texts, toolkit

VERSION = re.compile(
    r"\b(sglang|sgl_kernel|torch|torchvision|transformers|xgrammar|flashinfer|cuda|rocm)\b['\"]?\s*(?:[=~<>!]=|[:@]|[<>])\s*"
    r"['\"]?v?\d+\.\d",
    re.IGNORECASE,
)
JUDGING = re.compile(r"tolerance|threshold|percent|floor|fraction")
HARMLESS = (0, 1, 100)
"""What a number may be without being a decision: nothing, the whole, and the whole in percent."""


def gpu_names() -> list[str]:
    """Catalog names of GPUs; `cpu` is an accelerator, not a name."""
    catalog = yaml.safe_load((PACKAGE / "catalog" / "gpus.yml").read_text())
    names = catalog.get("gpus", catalog)
    return [name for name in names if name != "cpu"]


def docstrings(tree: ast.Module) -> set[int]:
    """Identities of the constants that are bare strings: docstrings of modules, classes, functions, attributes."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and value of every string of a module that is not documentation."""
    tree = ast.parse(path.read_text())
    documentation = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


def judged_numbers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of every number literal that is bound to a name which sounds like a threshold."""
    for node in ast.walk(tree):
        pairs: list[tuple[str, ast.expr | None]] = []
        if isinstance(node, ast.keyword):
            pairs = [(node.arg or "", node.value)]
        elif isinstance(node, ast.Assign):
            pairs = [(target.id, node.value) for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            pairs = [(node.target.id, node.value)]
        for name, value in pairs:
            if is_number(value) and JUDGING.search(name.lower()):
                yield value.lineno, name


def is_number(value: ast.expr | None) -> TypeGuard[ast.Constant]:
    """Whether an expression is a literal number that decides something."""
    if not isinstance(value, ast.Constant) or isinstance(value.value, bool):
        return False
    return isinstance(value.value, int | float) and value.value not in HARMLESS


def test_no_version_in_code_roles_or_dockerfiles() -> None:
    sources = texts(
        "devstral_fleet/**/*.py", "devstral_fleet/*.py", "playbooks/**/*", "playbooks/*", "docker/**/*", "tasks.py"
    )
    found = [f"{path.relative_to(ROOT)}: {hit[0]}" for path, text in sources for hit in [VERSION.search(text)] if hit]
    assert not found


def test_the_search_for_versions_finds_one() -> None:
    assert VERSION.search("sglang==0.5.20")
    assert VERSION.search('"torch": "2.13.0"')
    assert not VERSION.search("transformers >= minimum")


@pytest.mark.parametrize("path", toolkit(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_gpu_name_in_code(path: Path) -> None:
    names = re.compile(rf"\b({'|'.join(map(re.escape, gpu_names()))})\b", re.IGNORECASE)
    assert not [f"line {line}: {text!r}" for line, text in strings(path) if names.search(text)]


def test_no_gpu_name_in_roles_or_dockerfiles() -> None:
    names = re.compile(rf"\b({'|'.join(map(re.escape, gpu_names()))})\b", re.IGNORECASE)
    sources = texts("playbooks/**/*", "playbooks/*", "docker/**/*")
    assert not [f"{path.relative_to(ROOT)}: {hit[0]}" for path, text in sources for hit in [names.search(text)] if hit]


@pytest.mark.parametrize("path", toolkit(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_threshold_in_code(path: Path) -> None:
    assert not [f"line {line}: {name}" for line, name in judged_numbers(ast.parse(path.read_text()))]


def test_the_search_for_thresholds_finds_one() -> None:
    assert list(judged_numbers(ast.parse("TOLERANCE_PERCENT = 5\njudge(floor=30)\nwidth = 7")))
