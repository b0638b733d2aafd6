"""Which charts stand above which table of a host's report."""

from devstral_fleet.report.chart import Chart
from devstral_fleet.report.chart_latency import latencies
from devstral_fleet.report.chart_pareto import pareto
from devstral_fleet.report.chart_startup import waterfall
from devstral_fleet.report.chart_usage import usages
from devstral_fleet.report.model import HostReport
from devstral_fleet.report.tables_bench import LATENCY, SPEED, USAGE
from devstral_fleet.report.tables_proof import STARTUP


def host_charts(host: HostReport) -> dict[str, tuple[Chart, ...]]:
    """Return the charts by the caption of the table that holds their numbers."""
    alone = {SPEED: pareto(host), STARTUP: waterfall(host)}
    panels = {LATENCY: tuple(latencies(host)), USAGE: tuple(usages(host))}
    return {**{caption: (chart,) for caption, chart in alone.items() if chart}, **panels}
