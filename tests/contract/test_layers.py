"""Every layer of tests has tests, and every public thing of the toolkit says what it is."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.tree import PACKAGE, ROOT, matching, toolkit

LAYERS = ("unit", "contract", "lint", "ansible", "e2e", "soak")


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_has_tests(layer: str) -> None:
    tests = matching(f"tests/{layer}/test_*.py", f"tests/{layer}/**/test_*.py")
    assert any(re.search(r"^(async )?def test_", path.read_text(), re.MULTILINE) for path in tests)


@pytest.mark.parametrize("path", toolkit(), ids=lambda path: str(path.relative_to(ROOT)))
def test_public_functions_and_classes_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text())
    public = [
        node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert ast.get_docstring(tree), "the module says nothing"
    assert not [node.name for node in public if not ast.get_docstring(node)]


def test_words_that_name_nothing_name_no_module() -> None:
    assert not [path for path in PACKAGE.rglob("*") if path.stem in {"utils", "util", "helpers", "common", "manager"}]
