"""Pytest plug-in of `make soak`: writes docs/evidence/soak.md; `make test` asks it whether that is out of date."""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORD = Path("docs/evidence/soak.md")
JUDGED = ("playbooks", "devstral_fleet/workflows", "devstral_fleet/lock")
"""What a soak run says something about: where a change can lose a host."""
AGAIN = "`make soak` makes it again"


def git(root: Path, *words: str) -> str:
    """Return what git prints; raise CalledProcessError where it fails. Works in another user's checkout."""
    argv = ["git", "-c", f"safe.directory={root}", "-C", str(root), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def staleness(root: Path) -> str:
    """Return why the soak record does not speak for this tree, or '' when it does."""
    record = root / RECORD
    if not record.is_file():
        return f"there is no soak record ({RECORD}); `make soak` makes it"
    commit = re.search(r"commit: ([0-9a-f]{40})", record.read_text())
    if commit is None:
        return f"{RECORD} names no commit; {AGAIN}"
    try:
        changed = git(root, "diff", "--name-only", commit.group(1), "--", *JUDGED)
    except subprocess.CalledProcessError:
        return f"{RECORD} names commit {commit.group(1)[:12]}, which this checkout does not know; {AGAIN}"
    return f"{RECORD} is older than changes in {', '.join(JUDGED)}; {AGAIN}" if changed else ""


def written(root: Path, counts: dict[str, int], seed: str, now: datetime) -> str:
    """Return the text of the record: date, commit, counts by outcome, seed."""
    dirty = ", with uncommitted changes" if git(root, "status", "--porcelain") else ""
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()) if number)
    return (
        "# Soak record\n\nWritten by `make soak`. A red soak writes no record.\n\n"
        f"- date: {now:%Y-%m-%d %H:%M} UTC\n"
        f"- commit: {git(root, 'rev-parse', 'HEAD')}{dirty}\n"
        f"- outcome: {outcomes}\n"
        f"- seed: {seed}\n"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Write the record of a green run; say that a red one leaves none."""
    if exitstatus != pytest.ExitCode.OK:
        terminalreporter.write_line(f"no soak record written: the run ended with {exitstatus}", red=True)
        return
    counts = {outcome: len(terminalreporter.stats.get(outcome, [])) for outcome in ("passed", "failed", "error")}
    path = ROOT / RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(written(ROOT, counts, str(config.option.kill_seed), datetime.now(UTC)))
    terminalreporter.write_line(f"soak record: {RECORD}")
