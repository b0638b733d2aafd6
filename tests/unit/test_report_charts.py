"""What charts draw: every measured point, at its place, in words too."""

import re
from html.parser import HTMLParser

import pytest

from devstral_fleet.bench.usage import GpuUsage, UsageSample
from devstral_fleet.report import chart, speed
from devstral_fleet.report.chart import Chart, Scale
from devstral_fleet.report.chart_fleet import strip_plot
from devstral_fleet.report.chart_latency import latencies
from devstral_fleet.report.chart_pareto import pareto
from devstral_fleet.report.chart_startup import waterfall
from devstral_fleet.report.chart_usage import BINS, spread, usages
from devstral_fleet.report.charts import host_charts
from devstral_fleet.report.html import DRAWN_HOSTS, html
from devstral_fleet.report.markdown import markdown
from devstral_fleet.report.model import HostReport
from devstral_fleet.report.tables import host_tables
from devstral_fleet.report.tables_bench import held
from devstral_fleet.report.tables_fleet import fleet, strips
from devstral_fleet.smoke.conformance import PREFIX
from tests.unit.bench_samples import tolerances
from tests.unit.report_full_samples import full_report
from tests.unit.report_samples import checked


class Drawing(HTMLParser):
    """A chart's words and its names; unclosed or wrongly nested elements fail."""

    def __init__(self, drawn: Chart) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: dict[str, list[str]] = {}
        self.ids: dict[str, str] = {}
        self.root: dict[str, str | None] = {}
        self.feed(drawn.svg("x"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {name for name, _ in attrs} & {"style", "fill", "stroke", "href"}
        self.root = self.root or dict(attrs)
        self.ids |= {str(value): tag for name, value in attrs if name == "id"}
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.setdefault(self.open[-1], []).append(data)


@pytest.fixture(scope="module")
def host() -> HostReport:
    return full_report().hosts[0]


def drawn(value: Chart | None) -> Chart:
    assert value
    return value


def table(host: HostReport, caption: str) -> list[list[str]]:
    found = next(each for each in host_tables(full_report(), host) if each.caption == caption)
    return [[cell.text for cell in row] for row in found.rows]


def test_every_chart_has_a_name_and_a_description_of_its_own(host: HostReport) -> None:
    charts = [each for found in host_charts(host).values() for each in found]
    assert len(charts) == 2 + 9 + 9
    assert len({each.title for each in charts}) == len(charts)
    for each in charts:
        seen = Drawing(each)
        assert seen.root["role"] == "img"
        assert [seen.ids[name] for name in (seen.root["aria-labelledby"] or "").split()] == ["title", "desc"]
        assert seen.words["title"] == [each.title]
        assert host.host in each.title
        assert len(each.description) > 20


def test_every_chart_stands_above_a_table_with_its_numbers(host: HostReport) -> None:
    captions = [each.caption for each in host_tables(full_report(), host)]
    assert set(host_charts(host)) <= set(captions)


def test_a_host_without_measurements_has_no_chart() -> None:
    assert not [each for found in host_charts(checked()).values() for each in found]


def test_the_pareto_chart_marks_each_point_with_its_concurrency(host: HostReport) -> None:
    words = Drawing(drawn(pareto(host))).words["text"]
    assert sorted(word for word in words if word in {"1", "16"}) == ["1"] * 3 + ["16"] * 3
    assert {"chat", "reasoning", "summarization", "baseline h100-tp1", "reference amd-tp8"} <= set(words)
    assert "meets the objective →" in words
    assert "↑ output tok/s for each GPU" in words


def test_speeds_are_of_a_gpu_and_of_a_user() -> None:
    host = full_report(1, gpus=8).hosts[0]
    row, point = host.bench[2], speed.measured(host)[2]
    assert point.device == row.medians["output_throughput"] / 8
    assert point.user == 1000 / row.medians["median_tpot_ms"]
    assert {point.device * 8 for point in speed.baseline(host)} == {
        metric.baseline for verdict in host.verdicts for metric in verdict.metrics if "throughput" in metric.metric
    }
    assert [point.device for point in speed.references(host)] == [3783.1 / 8, 12176.6 / 8]


def test_a_host_without_gpus_is_measured_as_a_whole(host: HostReport) -> None:
    assert host.plan
    bare = host.model_copy(update={"plan": host.plan.model_copy(update={"gpus": ()})})
    assert "↑ output tok/s for each host" in Drawing(drawn(pareto(bare))).words["text"]


def test_without_an_objective_nothing_is_shaded(host: HostReport) -> None:
    rows = tuple(row.model_copy(update={"goodput": None}) for row in host.bench)
    plain = drawn(pareto(host.model_copy(update={"bench": rows})))
    assert 'class="good"' in drawn(pareto(host)).body
    assert 'class="good"' not in plain.body
    assert "objective" not in plain.description


def test_a_statistic_that_was_not_written_has_no_line_and_no_column(host: HostReport) -> None:
    def without(name: str) -> bool:
        return not name.startswith("p90")

    rows = tuple(
        row.model_copy(update={"medians": {name: value for name, value in row.medians.items() if without(name)}})
        for row in host.bench
    )
    old = host.model_copy(update={"bench": rows})
    assert {"p50", "p90", "p99"} <= set(Drawing(next(latencies(host))).words["text"])
    assert "p90" not in Drawing(next(latencies(old))).words["text"]
    columns = next(each.columns for each in host_tables(full_report(), old) if each.caption == "Latency")
    assert columns[2:5] == ("median TTFT", "P99 TTFT", "median TPOT")


def test_the_waterfall_has_every_stage_and_earlier_starts(host: HostReport) -> None:
    seen = Drawing(drawn(waterfall(host)))
    assert host.startup
    assert {stage.name for stage in host.startup.stages} <= set(seen.words["text"])
    assert "11-22 09:10" in seen.words["text"]
    assert table(host, "Starts on this host")[0][2:] == ["3 min 12 s", "52.0 s"]


def test_usage_says_what_held_the_gpus_back(host: HostReport) -> None:
    words = [Drawing(each).words["text"] for each in usages(host)]
    assert "held back by sw_power_cap (GPU 0)" in words[2]
    assert "held back by nothing" in words[0]
    assert [row[-1] for row in table(host, "GPUs during the benchmark")][:3] == ["nothing"] * 2 + [
        "sw_power_cap (GPU 0)"
    ]


def test_a_driver_that_does_not_say_what_held_its_gpus_back_is_not_taken_for_nothing() -> None:
    silent, free = GpuUsage(gpu=0, samples=()), GpuUsage(gpu=0, samples=(), throttled_percent={})
    assert (held((silent,)), held((free,))) == ("the driver does not say", "nothing")


def test_many_samples_become_few_places_without_losing_the_extremes() -> None:
    samples = tuple(UsageSample(offset_s=float(at), power_w=700.0 if at == 333 else 100.0) for at in range(1000))
    silent = GpuUsage(gpu=1, samples=(UsageSample(offset_s=0.0),))
    spans = spread((GpuUsage(gpu=0, samples=samples), silent), "power_w", 999.0)
    assert len(spans) == BINS
    assert max(span.most for span in spans) == 700.0
    assert {span.middle for span in spans} == {100.0}


def test_the_fleet_names_the_hosts_beyond_the_tolerance() -> None:
    report = full_report(10)
    found = strips(report, tolerances(5))
    assert len(found) == 9
    for strip in found:
        assert [each.host for each in strip.beyond] == ["gpu007"]
        assert len(strip.hosts) == 10
    told = drawn(strip_plot(found))
    assert "gpu007 is beyond it at 9 points" in told.description
    assert told.body.count("h0") == 9 * 9
    assert fleet(found).rows[0][-1].text.startswith("gpu007 -1")
    assert "gpu007 -1" in markdown(report).partition("## gpu001")[0]


def test_two_hosts_stand_beside_each_other_unjudged() -> None:
    found = strips(full_report(2), tolerances(0.1))
    assert [len(strip.hosts) for strip in found] == [2] * 9
    assert not [strip for strip in found if strip.beyond]


def test_tool_cases_are_counted_by_what_they_ask(host: HostReport) -> None:
    rows = {row[0]: row[1:] for row in table(host, "Tool calls")}
    assert len(rows) == 4
    assert sum(int(row[-1]) for row in rows.values()) == len([f for f in host.smoke if f.check.startswith(PREFIX)]) > 40
    assert rows["words and no call"][1] == "1"
    assert all(len(row) == 4 for row in rows.values())


def test_acceptance_stands_apart_from_other_findings(host: HostReport) -> None:
    assert [row[1] for row in table(host, "Acceptance")] == ["gpu-start", "host-bandwidth", "diagnostics"]
    assert [row[1] for row in table(host, "Findings after")] == ["model-planned"]
    assert "54.9 GB/s" in markdown(full_report())


def test_the_verdict_shows_spread_and_tolerance(host: HostReport) -> None:
    row = table(host, "Verdict")[0]
    assert row[6] == f"{host.bench[0].spreads_percent['output_throughput']:.1f} %"
    assert row[7].startswith("± ")


def test_the_fingerprint_is_whole(host: HostReport) -> None:
    rows = dict(table(host, "Fingerprint"))
    wanted = {
        "toolkit",
        "kernel",
        "driver",
        "GPUs",
        "SGLang",
        "weights",
        "weights revision",
        "model files",
        "arguments",
    }
    assert wanted <= rows.keys()
    assert rows["driver"] == "580.95.05"
    assert rows["weights revision"] == "abc123"
    assert rows["toolkit"] == "0.1.0 0123456789ab"


def test_a_page_of_many_hosts_says_once_what_they_share() -> None:
    report = full_report(12)
    page, document = html(report), markdown(report)
    assert page.count('<details class="host">') == 12
    assert page.count(" as gpu001") > 11 * 5
    drawn_hosts = {int(number) for number in re.findall(r'<title id="c(\d+)-', page)}
    assert len(drawn_hosts) == DRAWN_HOSTS
    for host in report.hosts:
        for row in host.bench:
            for text in (page, document):
                assert f"{row.medians['output_throughput']:,.1f} tok/s" in text


def test_a_page_of_many_hosts_keeps_what_fails_or_was_held_back() -> None:
    page = html(full_report(12))
    slow, other = (re.split(r'id="host-\d+"', page)[number] for number in (7, 12))
    assert "<b class=fail>fail</b>" in slow
    assert "<b class=fail>fail</b>" not in other
    assert "36 rows stand in report.md: what passes." in other
    assert "6 rows stand in report.md: points at which nothing held the GPUs back." in other
    assert other.count("sw_power_cap (GPU 0)") == 3


@pytest.mark.parametrize(
    ("high", "expected"), [(4283, (0, 1000, 2000, 3000, 4000, 5000)), (0.3, (0, 0.1, 0.2, 0.3)), (0, (0, 1))]
)
def test_ticks_are_round_and_reach_the_highest(high: float, expected: tuple[float, ...]) -> None:
    assert chart.ticks(high) == pytest.approx(expected)


def test_scales() -> None:
    assert Scale(0, 10, 100, 0)(5) == 50
    assert Scale(1, 100, 0, 10, log=True)(10) == pytest.approx(5)
    assert Scale(1, 100, 0, 10, log=True)(0) == 0
    assert chart.decades(57, 2300) == (10, 100, 1000, 10000)
    assert chart.apart([10, 12, 50], 11) == [10, 21, 50]
