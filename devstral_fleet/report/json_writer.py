"""The report as JSON: the model itself, which reads back as the same value."""

from devstral_fleet.report.model import RunReport


def json_text(report: RunReport) -> str:
    """Write the whole report; `json_schema` of `report.model` describes it."""
    return report.model_dump_json(indent=2) + "\n"


def read(text: str) -> RunReport:
    """Read a report that `json_text` wrote."""
    return RunReport.model_validate_json(text)
