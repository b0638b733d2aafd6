"""One run's report, as JSON, Markdown, one HTML page, and one screen. Every number is written by `report.format`."""

from devstral_fleet.report.write import write_all

__all__ = ["write_all"]
