"""The vendors' own long diagnostics: NVIDIA's DCGM, AMD's ROCm Validation Suite and TransferBench.

Sources: docs.nvidia.com/datacenter/dcgm (`dcgmi diag`; its JSON of versions 3 and 4), the user guide of the ROCm
Validation Suite (levels, `met:` and `pass:`), ROCm's TransferBench documentation (the all-to-all preset's average).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from devstral_fleet.facts import DiagnosticsFacts
from devstral_fleet.shell import TIMED_OUT, CommandResult, Shell

Level = Literal["full", "burn-in"]
Tool = Literal["DCGM", "RVS"]
TOOLS: dict[str, Tool] = {"nvidia": "DCGM", "amd": "RVS"}
COMMANDS: dict[Tool, dict[Level, tuple[str, ...]]] = {
    "DCGM": {"full": ("dcgmi", "diag", "--run", "3", "--json"), "burn-in": ("dcgmi", "diag", "--run", "4", "--json")},
    "RVS": {"full": ("rvs", "-r", "3"), "burn-in": ("rvs", "-r", "5")},
}
LIMIT_S: dict[Level, float] = {"full": 3600.0, "burn-in": 86400.0}
ALL_TO_ALL = ("TransferBench", "a2a")
ALL_TO_ALL_S = 900.0
WITH_ROCM = ("sh", "-c", 'PATH="$PATH:/opt/rocm/bin"; exec "$@"', "sh")
"""Words before a command that may lie where ROCm's packages put it."""
NOT_FOUND = 127
ROOTS = ("DCGM Diagnostic", "DCGM GPU Diagnostic")
"""Names of the document's object, of DCGM 4 and 3."""
VERDICT = re.compile(r"\[([^\[\]]+)\] *(?:[^\[\]\s]+ +)*?(?:met|pass): *\[? *(true|false)", re.IGNORECASE)
RVS_ERROR = re.compile(r"\[ *ERROR *\]|RVS-[A-Z-]*ERROR")
AVERAGE = re.compile(r"Average\s+bandwidth \(GPU Timed\):\s+([\d.]+) GB/s")


def read(shell: Shell, vendor: str, level: Level) -> DiagnosticsFacts:
    """Run the vendor's diagnostics on all GPUs of a host; a tool that is not there is a fact, and no error."""
    tool = TOOLS[vendor]
    result = shell.run([*WITH_ROCM, *COMMANDS[tool][level]], timeout_s=LIMIT_S[level])
    return (dcgm if tool == "DCGM" else rvs)(result)


def all_to_all(shell: Shell) -> float | None:
    """Return the average of every GPU's copies to every other, in 10^9 bytes a second; None without TransferBench."""
    result = shell.run([*WITH_ROCM, *ALL_TO_ALL], timeout_s=ALL_TO_ALL_S)
    found = AVERAGE.search(result.stdout)
    if result.exit_status == NOT_FOUND:
        return None
    return float(found[1]) if found and result.ok else 0.0


def dcgm(result: CommandResult) -> DiagnosticsFacts:
    """Read the JSON of `dcgmi diag`; it ends with another status than 0 where a test fails."""
    try:
        document = json.loads(result.stdout)
        root = next(document[name] for name in ROOTS if name in document)
        tests = [test for category in root.get("test_categories", ()) for test in category["tests"]]
        lines = [(test["name"], *line) for test in tests for line in _results(test)]
    except (ValueError, TypeError, KeyError, StopIteration):
        return _not_run("DCGM", result)
    if error := root.get("runtime_error"):
        return DiagnosticsFacts(tool="DCGM", there=True, detail=str(error))
    said = {state: tuple(_said(line) for line in lines if line[1] == state) for state in ("fail", "warn")}
    passed = dict.fromkeys(name for name, state, *_ in lines if state == "pass")
    return DiagnosticsFacts(tool="DCGM", there=True, passed=tuple(passed), failures=said["fail"], warnings=said["warn"])


def _results(test: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """Give (state, where, why) of each result of a test; the summary stands for a test without any."""
    results = test.get("results") or [test.get("test_summary", {})]
    for each in results if isinstance(results, Sequence) else ():
        where = each.get("entity_id", each.get("gpu_ids", each.get("gpu_id")))
        group = each.get("entity_group", "GPU")
        words = each.get("warnings", ())
        texts = [words] if isinstance(words, str) else [_text(word) for word in words]
        yield str(each["status"]).lower(), "" if where is None else f"{group} {where}", "; ".join(texts)


def _text(word: object) -> str:
    return str(word["warning"]) if isinstance(word, Mapping) else str(word)


def _said(line: tuple[str, str, str, str]) -> str:
    name, _, where, why = line
    return ": ".join(part for part in (name, where, why) if part)


def rvs(result: CommandResult) -> DiagnosticsFacts:
    """Read what the ROCm Validation Suite says of its actions, and its exit status."""
    lines = result.stdout.splitlines()
    verdicts = [(line, found) for line in lines if (found := VERDICT.search(line))]
    failures = [line.strip() for line, found in verdicts if found[2].lower() == "false"]
    failures += [line.strip() for line in lines if RVS_ERROR.search(line)]
    if not verdicts and not failures:
        return _not_run("RVS", result)
    if not result.ok and not failures:
        failures = [f"it ended with {result.exit_status}"]
    passed = dict.fromkeys(found[1].strip() for _, found in verdicts if found[2].lower() == "true")
    return DiagnosticsFacts(tool="RVS", there=True, passed=tuple(passed), failures=tuple(failures))


def _not_run(tool: Tool, result: CommandResult) -> DiagnosticsFacts:
    if result.exit_status == TIMED_OUT:
        return DiagnosticsFacts(tool=tool, there=True, detail="it did not end in its time")
    lines = (result.stderr or result.stdout).strip().splitlines()
    said = lines[-1].strip() if lines else f"it ended with {result.exit_status} and said nothing"
    return DiagnosticsFacts(tool=tool, there=result.exit_status != NOT_FOUND, detail=said)
