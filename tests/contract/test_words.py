"""What no file of this project says: the rules stand in forbidden.yml."""

import re
from pathlib import Path

import pytest
import yaml

from tests.support.tree import ROOT, texts

RULES = Path(__file__).with_name("forbidden.yml")
FORBIDDEN = [pytest.param(rule, id=rule["rule"]) for rule in yaml.safe_load(RULES.read_text())]
SOURCES = {
    "all": ("*",),
    "code": ("*.py", "*.yml", "*.yaml", "*.sh", "*.j2", "*.cfg", "*.toml", "Dockerfile*", "Makefile", ".ci/run"),
    "tests": ("tests/**/*.py", "tests/*.py"),
}
# Recorded cases may say what is refused: that is what they are for.
Rule = dict[str, str]


@pytest.mark.parametrize("rule", FORBIDDEN)
def test_no_file_says(rule: Rule) -> None:
    search = re.compile(rule["pattern"])
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path, text in texts(*SOURCES[rule["files"]])
        if path != RULES and not (rule["files"] == "code" and "cases" in path.parts)
        for number, line in enumerate(text.splitlines(), start=1)
        if search.search(line)
    ]
    assert not found


@pytest.mark.parametrize("rule", FORBIDDEN)
def test_the_rule_finds_its_example(rule: Rule) -> None:
    assert re.search(rule["pattern"], rule["example"])
