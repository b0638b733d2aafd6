"""Verbs that measure what serves: verify, bench, accuracy, report, compare."""

from typing import TYPE_CHECKING

from devstral_fleet.cli.verb import verb

if TYPE_CHECKING:
    from devstral_fleet.console import Console
    from devstral_fleet.errors import ExitCode


@verb(tools="ask every case of tool calling too, whole and streamed (a minute)")
def verify(
    console: "Console", host: str = "", inventory: str = "", tools: bool = False, json: bool = False
) -> "ExitCode":
    """Compare what serves with its plan, and ask it for chat, streams and tool calls."""
    from devstral_fleet.workflows import verify as workflow
    from devstral_fleet.workflows.planning import Ask

    return workflow.verify(console, Ask(host, inventory), tools=tools)


@verb(
    workload="catalog name of a workload, or 'all' (default: the host's smoke workload)",
    concurrency="requests in flight, a comma list: 1,16,100 (default: the catalog's)",
    time_limit="seconds; points that would not end in them are left out",
    resume="run id whose points are not measured again",
    objective="what a good request keeps, TTFT:TPOT in ms, as 2000:50 (default: the workload's own)",
    repeats="how often each point is measured (default: the catalog's)",
    save_baseline="record the result as this host's baseline",
)
def bench(
    console: "Console",
    host: str = "",
    inventory: str = "",
    workload: str = "",
    concurrency: str = "",
    objective: str = "",
    repeats: int = 0,
    time_limit: int = 0,
    resume: str = "",
    save_baseline: bool = False,
    lock_wait: int = 0,
    json: bool = False,
) -> "ExitCode":
    """Measure the served model beside the engine and judge it by the host's baseline."""
    from devstral_fleet.bench import goodput
    from devstral_fleet.workflows import bench as workflow
    from devstral_fleet.workflows.planning import Ask

    wish = workflow.Wish(
        *(workload, repeats, save_baseline, workflow.levels(concurrency), time_limit, resume),
        objective=goodput.objective(objective),
        lock_wait_s=lock_wait,
    )
    return workflow.bench(console, Ask(host, inventory), wish)


@verb(
    questions="how many questions (default: the catalog's 8-shot GSM8K, 1316); fewer than 200 are not judged",
    data="file of questions in place of GSM8K's; shown and not judged",
    save_baseline="record the result as this host's baseline",
)
def accuracy(
    console: "Console",
    host: str = "",
    inventory: str = "",
    questions: int = 0,
    data: str = "",
    save_baseline: bool = False,
    lock_wait: int = 0,
    json: bool = False,
) -> "ExitCode":
    """Ask the served model GSM8K's questions and judge the share of right answers by the model's baseline."""
    from devstral_fleet.workflows import accuracy as workflow
    from devstral_fleet.workflows.planning import Ask

    wish = workflow.Wish(questions, data, save_baseline, lock_wait_s=lock_wait)
    return workflow.accuracy(console, Ask(host, inventory), wish)


@verb(run="run id or its directory (default: the newest)", format="markdown, json or path")
def report(
    console: "Console",
    run: str = "",
    format: str = "markdown",
) -> "ExitCode":
    """Show the report of a run."""
    from devstral_fleet.workflows import report as workflow

    return workflow.report(console, run, format)


@verb(before="run id, or its directory", now="a later one, or 'median': the run's hosts beside their median")
def compare(console: "Console", before: str, now: str, json: bool = False) -> "ExitCode":
    """Compare two runs, or one run's hosts with their median; exit 6 where one is slower than it may be."""
    from devstral_fleet.workflows import compare as workflow

    return workflow.compare(console, before, now)


TASKS = (verify, bench, accuracy, report, compare)
