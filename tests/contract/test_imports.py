"""`invoke --list` stays fast: the tasks import only invoke and the standard library."""

import json
import re
import subprocess
import sys

from tests.support.tree import ROOT, program

LOADED = """
import json, sys
import invoke
before = set(sys.modules)
sys.path.insert(0, ".")
import tasks
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_tasks_import_only_invoke_and_the_standard_library() -> None:
    argv = [sys.executable, "-I", "-c", LOADED]
    result = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True)
    loaded = json.loads(result.stdout)
    foreign = [name for name in loaded if name.partition(".")[0] not in {*sys.stdlib_module_names, "invoke", "tasks"}]
    assert [name for name in foreign if not re.match(r"devstral_fleet(\.cli(\..+)?)?$", name)] == []
    assert "devstral_fleet.cli" in foreign


def test_invoke_lists_the_tasks() -> None:
    result = subprocess.run([program("invoke"), "--list"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in ("deploy", "plan", "rollback", "stop", "lock.status"):
        assert f" {name}" in result.stdout
