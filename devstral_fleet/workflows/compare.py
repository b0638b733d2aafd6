"""compare: what two runs measured, or one run's hosts among themselves."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from devstral_fleet import catalog as catalogs
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode
from devstral_fleet.report import comparison
from devstral_fleet.report import format as fmt
from devstral_fleet.report.comparison import Comparison
from devstral_fleet.report.model import RunReport
from devstral_fleet.workflows.report import directory

MEDIAN = "median"
COLUMNS = ("host", "workload", "at", "metric", "before", "now", "change", "tolerance", "")


def compare(console: Console, before: str, now: str) -> ExitCode:
    """Show what differs; exit code 6 where a metric is worse by more than it may be.

    Args:
        before: run id or its directory. now: the later one, or MEDIAN: the hosts of `before` beside their median.
    """
    tolerances = catalogs.load().tolerances
    earlier = read(directory(before))
    if now == MEDIAN:
        found = comparison.fleet(earlier, tolerances)
    else:
        found = comparison.between(earlier, read(directory(now)), tolerances)
    if not found.differences:
        raise ConfigurationError(
            f"nothing could be compared: {'; '.join(found.uncompared)}",
            fix="measure the same workload on hosts of one kind: .venv/bin/invoke bench --host NAME",
        )
    _show(console, found)
    console.document(found.model_dump(mode="json"))
    return ExitCode.PERFORMANCE if any(each.state == "worse" for each in found.differences) else ExitCode.OK


def read(folder: Path) -> RunReport:
    """Read a run's report.

    Raises:
        ConfigurationError: it is of another version, or no report.
    """
    try:
        return RunReport.model_validate_json((folder / "report.json").read_text())
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise ConfigurationError(
            f"{folder.name}: its report cannot be read: {where}: {problem['msg']}",
            fix="it was written by another version of this toolkit: measure again",
        ) from error


def newest(root: Path) -> Iterator[RunReport]:
    """Read the runs that are kept, newest first; one that has no report, or another version's, is left out."""
    for folder in sorted(root.glob("*"), reverse=True):
        with suppress(ConfigurationError, OSError):
            yield read(folder)


def _show(console: Console, found: Comparison) -> None:
    rows = [
        (
            each.host,
            each.workload,
            str(each.concurrency),
            fmt.label(each.metric),
            fmt.metric(each.metric, each.before),
            fmt.metric(each.metric, each.now),
            fmt.change(each.change_percent),
            f"± {fmt.percent(each.tolerance_percent)}",
            "" if each.state == "same" else each.state,
        )
        for each in found.differences
    ]
    if rows:
        console.table(COLUMNS, rows)
    console.pairs([(name, f"{was or 'nothing'} -> {now or 'nothing'}") for name, was, now in found.changed])
    for sentence in found.uncompared:
        console.say(f"not compared: {sentence}")
    slow = {each.host: None for each in found.differences if each.state == "worse"}
    if slow:
        console.say(f"slower than it may be: {', '.join(slow)}")
