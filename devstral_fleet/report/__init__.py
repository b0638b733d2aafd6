"""One run's report, as JSON, Markdown, one HTML page, and one screen. Every number is written by `report.format`."""
