"""report: the report of an earlier run."""

from pathlib import Path

from devstral_fleet import project
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode

FILES = {"markdown": "report.md", "json": "report.json"}


def report(console: Console, run: str, wanted: str) -> ExitCode:
    """Print a run's report, or the path of its HTML page."""
    if wanted not in {*FILES, "path"}:
        raise ConfigurationError(f"no report format '{wanted}'", fix=f"one of: {', '.join(FILES)}, path")
    folder = directory(run)
    if wanted == "path":
        console.text(str(folder / "report.html"))
    else:
        console.text((folder / FILES[wanted]).read_text())
    return ExitCode.OK


def directory(run: str) -> Path:
    """The run that was named by its id or directory, else the newest with a report.

    Raises:
        ConfigurationError: there is none.
    """
    root = project.runs()
    named = [Path(run), root / run] if run else sorted(root.glob("*"), reverse=True)
    found = next((path for path in named if (path / "report.json").is_file()), None)
    if found is None:
        what = f"run '{run}'" if run else "run"
        raise ConfigurationError(f"no {what} with a report in {root}", fix="look: ls runs/")
    return found
