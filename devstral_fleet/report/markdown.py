"""The report as Markdown, for a pull request or a terminal."""

from collections.abc import Iterator

from devstral_fleet import catalog
from devstral_fleet.report.model import ChangeReport, ErrorReport, HostReport, RunReport
from devstral_fleet.report.summary import attention, sentence
from devstral_fleet.report.table import Cell, Table
from devstral_fleet.report.tables import host_tables
from devstral_fleet.report.tables_fleet import fleet, strips


def markdown(report: RunReport) -> str:
    """Write the whole report."""
    lines = [f"# {report.verb}: {', '.join(host.host for host in report.hosts) or 'no host'}", ""]
    lines += [f"Run `{report.run}` on {report.controller}, {report.started} to {report.finished}, "]
    lines[-1] += f"exit code {report.exit_code}, Devstral Fleet {report.toolkit_version} {report.git_commit}".rstrip()
    lines += ["", *_error(report.error)]
    beside = fleet(strips(report, catalog.load().tolerances))
    lines += _table(beside) if beside.rows else []
    for host in report.hosts:
        lines += _host(report, host)
    return "\n".join(lines).rstrip() + "\n"


def _host(report: RunReport, host: HostReport) -> Iterator[str]:
    yield from (f"## {host.host}", "", f"**{_inline(sentence(host))}**", "")
    yield from (f"- look at {_inline(text)}" for text in attention(host))
    yield from ([""] if attention(host) else [])
    yield from _error(host.error)
    if host.endpoint:
        yield from (f"Endpoint: {host.endpoint}", "", *_code(host.curl))
    for table in host_tables(report, host):
        yield from _table(table)
    yield from _changes(host.changes)
    if host.next_commands:
        yield from ("### Next", "", *_code("\n".join(host.next_commands)))


def _table(table: Table) -> Iterator[str]:
    yield from (f"### {table.caption}", "")
    yield "| " + " | ".join(table.columns) + " |"
    yield "|" + "|".join("---:" if index in table.numeric else "---" for index in range(len(table.columns))) + "|"
    for row in table.rows:
        yield "| " + " | ".join(_cell(cell) for cell in row) + " |"
    yield ""
    if table.note:
        yield from (table.note, "")


def _cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.state in {"warn", "fail"} else cell.text
    return "<br>".join(_escape(line) for line in (text, *cell.notes))


def _escape(text: str) -> str:
    """Keep a cell one cell: bars, line ends and what HTML would read."""
    return _plain(text).replace("|", "\\|").replace("\n", "<br>")


def _inline(text: str) -> str:
    """Keep a sentence on one line."""
    return _plain(text).replace("\n", " ")


def _plain(text: str) -> str:
    """Keep text from being read as HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\r", "")


def _error(error: ErrorReport | None) -> Iterator[str]:
    if error is None:
        return
    yield from (f"> **{error.kind}** (exit code {error.exit_code}): {_inline(error.message)}", "")
    if error.fix:
        yield from (f"Fix: {_inline(error.fix)}", "")
    yield from _code("\n".join(error.evidence))


def _changes(changes: tuple[ChangeReport, ...]) -> Iterator[str]:
    if changes:
        yield from ("### Changed", "")
    for change in changes:
        yield from (f"- {_inline(change.task)}", *([""] if change.diff else []), *_code(change.diff, "diff"))
    if changes:
        yield ""


def _code(text: str, language: str = "") -> Iterator[str]:
    """Fence text, with a fence longer than any inside it."""
    if not text:
        return
    fence = "```"
    while fence in text:
        fence += "`"
    yield from (fence + language, text, fence, "")
