"""The documents say what the program does: exit codes, tasks, options, make targets."""

import copy
import re
import shlex
from pathlib import Path

import pytest
from invoke.parser import Parser, ParserContext

from devstral_fleet.errors import ExitCode
from tasks import ns
from tests.support.tree import ROOT, matching

OPERATIONS = ROOT / "docs" / "operations.md"
ROW = re.compile(r"^\|\s*`?(\d+)`?\s*\|\s*`?([\w ]+?)`?\s*\|", re.MULTILINE)
COMMAND = re.compile(r"(?:\.venv/bin/)?invoke ([a-z][^`\n]*)")
TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)
TASKS = sorted(ns.task_names)


def contexts() -> list[ParserContext]:
    """What Invoke knows of the tasks' options, of copies: Invoke takes each help text out of a task as it reads it."""
    found = []
    for name in ns.task_names:
        task = copy.copy(ns[name])
        task.help = dict(task.help)
        found.append(ParserContext(name=name, args=task.get_arguments()))
    return found


def documents() -> list[Path]:
    """Every document a reader is sent to."""
    return matching("*.md")


def documented() -> list[tuple[str, str]]:
    """(document, command line after `invoke`) for every command in code spans and blocks; shell operators end one."""
    found = []
    for path in documents():
        for code in re.findall(r"```.*?```|`[^`\n]+`", path.read_text(), flags=re.DOTALL):
            lines = [re.split(r"\s[|&;>#]|\s\\$", hit)[0] for hit in COMMAND.findall(code)]
            found += [(str(path.relative_to(ROOT)), line.strip()) for line in lines]
    return sorted(set(found))


def test_exit_codes_are_the_documented_ones() -> None:
    section = OPERATIONS.read_text().partition("## Exit codes")[2].partition("\n## ")[0]
    table = {int(code): name.lower() for code, name in ROW.findall(section)}
    assert table == {int(code): code.name.lower() for code in ExitCode}


@pytest.mark.parametrize(("document", "line"), documented())
def test_documented_commands_exist_with_their_options(document: str, line: str) -> None:
    words = shlex.split(line)
    parsed = Parser(contexts=contexts()).parse_argv(words)
    assert [context.name for context in parsed] == words[:1], f"{document}: invoke {line}"


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_documented(task: str) -> None:
    assert task in {line.split()[0] for _, line in documented()}, f"no document shows `invoke {task}`"


def test_documented_make_targets_exist() -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text()))
    assert targets == {"setup", "demo", "test", "soak", "lock"}
    shown = {name for path in documents() for name in re.findall(r"[`\n]make ([a-z]+)", path.read_text())}
    assert shown <= targets


def test_links_between_documents_lead_somewhere() -> None:
    links = [
        (path, target)
        for path in documents()
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
        if "://" not in target
    ]
    assert not [f"{path.relative_to(ROOT)}: {target}" for path, target in links if not (path.parent / target).exists()]
