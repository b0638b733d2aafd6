import json
import re
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from devstral_fleet.redact import REMOVED
from devstral_fleet.report import format as fmt
from devstral_fleet.report.html import bars, html
from devstral_fleet.report.json_writer import json_text, read
from devstral_fleet.report.markdown import markdown
from devstral_fleet.report.model import HostReport, RunReport, TaskReport, json_schema, slowest
from devstral_fleet.report.summary import summary
from devstral_fleet.report.tables import host_tables
from devstral_fleet.report.tables_bench import BENCH_COLUMNS
from devstral_fleet.report.write import without_secrets, write_all
from tests.unit.report_samples import HOSTILE, checked, failed, measured, report

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """What a browser would see: text, elements with their attributes, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def page() -> Page:
    return Page(html(report()))


def test_json_reads_back_as_the_same_report() -> None:
    assert read(json_text(report())) == report()


def test_json_fits_its_exported_schema() -> None:
    jsonschema.validate(json.loads(json_text(report())), json_schema())
    assert json.loads(json_text(report()))["schema_version"] == 1


def test_another_schema_version_is_refused() -> None:
    later = json_text(report()).replace('"schema_version": 1,\n  "run"', '"schema_version": 2,\n  "run"')
    with pytest.raises(ValueError, match="schema_version"):
        read(later)


def test_every_form_shows_every_cell_of_every_table(page: Page) -> None:
    document = markdown(report())
    cells = [
        cell
        for host in report().hosts
        for table in host_tables(report(), host)
        for row in table.rows
        for cell in row
        if HOSTILE not in cell.text
    ]
    assert len(cells) > 100
    for cell in cells:
        assert cell.text in page.text
        assert cell.text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|") in document


def test_numbers_of_the_screen_are_those_of_the_json() -> None:
    screen = summary(measured(), report_path="runs/x/report.html")
    host = json.loads(json_text(report()))["hosts"][0]
    row = host["bench"][0]
    assert screen.bench[0].output_throughput == f"{row['medians']['output_throughput']:,.1f} tok/s"
    assert screen.bench[0].ttft == f"median TTFT {row['medians']['median_ttft_ms']:.1f} ms"
    assert screen.bench[0].tpot == f"median TPOT {row['medians']['median_tpot_ms']:.1f} ms"
    assert screen.bench[0].verdict == host["verdicts"][0]["state"] == "pass"
    assert [took for _, took in screen.phases] == ["0.4 s", "12.3 s", "1 min 14 s", "5.5 s", "38.2 s"]
    assert [name for name, _ in screen.phases] == [phase["name"] for phase in host["phases"]]
    assert screen.endpoint == host["endpoint"]
    assert screen.curl == host["curl"]


def test_every_number_of_the_screen_stands_in_the_page(page: Page) -> None:
    screen = summary(measured(), report_path="")
    text = " ".join(line for _, line in screen.lines)
    numbers = re.findall(r"[\d,]+\.\d+ (?:tok/s|ms|s)|\d+ min \d+ s", text)
    assert len(numbers) >= 9
    for number in numbers:
        assert number in page.text
        assert number in markdown(report())


def test_the_screen_in_the_order_it_is_read() -> None:
    labels = [label for label, _ in summary(measured(), report_path="r.html").lines]
    assert labels == ["gpu01", "endpoint", "try it", "time", "speed chat at 16", "verdict", "look at", "report", "next"]


def test_a_missing_baseline_is_on_the_first_line() -> None:
    command = ".venv/bin/invoke bench --host gpu01 --save-baseline"
    host = measured().model_copy(update={"verdict": "no-baseline", "baseline_command": command})
    screen = summary(host)
    assert screen.lines[0] == ("gpu01", "deployed and proven, no baseline to judge by")
    assert ("record a baseline", command) in screen.lines
    assert host.state == "warn"
    assert command in html(report().model_copy(update={"hosts": (host,)}))


def test_a_host_without_anything_has_a_short_screen() -> None:
    assert summary(checked()).lines == (("gpu03", "checked; nothing was changed"),)
    assert [table.caption for table in host_tables(report(), checked())] == ["Fingerprint"]


@pytest.mark.parametrize(("host", "state"), [(measured(), "warn"), (failed(), "fail"), (checked(), "ok")])
def test_state_of_a_host(host: HostReport, state: str) -> None:
    assert host.state == state


def test_the_page_asks_nothing_of_a_network(page: Page) -> None:
    outward = {"script", "link", "img", "iframe", "object", "embed", "video", "audio", "base"}
    assert not outward & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        assert not {"src", "srcset", "onload", "onclick", "action"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")
    text = html(report())
    assert "@import" not in text
    assert "url(" not in text
    policy = next(meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'")


def test_the_page_is_whole_and_can_be_read_aloud(page: Page) -> None:
    assert page.open == []
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("table")) == len(page.all("caption")) > 8
    assert all(cell.get("scope") in {"row", "col"} for cell in page.all("th"))
    assert len(page.all("h1")) == 1
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [(attributes.get("href") or "")[1:] for attributes in page.all("a")]
    assert targets
    assert set(targets) <= set(ids)


def test_hostile_text_stays_text(page: Page) -> None:
    assert HOSTILE in page.text
    assert "<script>alert" not in html(report())
    outside_fences = re.sub(r"^(`{3,})[a-z]*\n.*?^\1$", "", markdown(report()), flags=re.DOTALL | re.MULTILINE)
    assert "&lt;script>" in outside_fences
    assert "<script>" not in outside_fences


def test_a_cell_of_markdown_stays_one_cell() -> None:
    lines = markdown(report()).splitlines()
    rows = [line for line in lines if line.startswith("| **fail**")]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 4


def test_evidence_is_fenced_longer_than_its_own_fences() -> None:
    document = markdown(report())
    assert f"````\n{HOSTILE}\n| last | line |\n````" in document


def test_three_files_that_only_their_owner_reads(tmp_path: Path) -> None:
    paths = write_all(report(), tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["report.html", "report.json", "report.md"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (paths.json, paths.markdown, paths.html))
    assert read(paths.json.read_text()) == report()


def test_no_secret_reaches_any_form(tmp_path: Path) -> None:
    secret = "5ecret-0123456789"
    host = failed()
    assert host.error is not None
    leaking = host.error.model_copy(update={"message": f"401 for {secret}", "evidence": ("Bearer abcdef0123456789",)})
    told = report().model_copy(
        update={
            "options": {"api_key": "another-secret-value", "note": secret},
            "hosts": (measured(), host.model_copy(update={"error": leaking})),
        }
    )
    paths = write_all(told, tmp_path, secrets=[secret])
    for path in (paths.json, paths.markdown, paths.html):
        text = path.read_text()
        assert secret not in text
        assert "another-secret-value" not in text
        assert "abcdef0123456789" not in text
    assert json.loads(paths.json.read_text())["options"]["api_key"] == REMOVED


def test_a_report_without_secrets_is_left_as_it_is() -> None:
    assert without_secrets(report()) == report()


def test_phases_lie_on_one_line_of_time() -> None:
    line = bars(measured())
    assert [bar.name for bar in line] == ["lock", "files", "switch", "smoke", "bench"]
    assert line[0].start_percent == 0
    assert line[-1].start_percent + line[-1].width_percent == pytest.approx(100, abs=0.1)
    assert bars(checked()) == []


def test_only_the_slowest_tasks_are_kept() -> None:
    tasks = tuple(TaskReport(name=str(number), seconds=float(number)) for number in range(30))
    assert [task.name for task in slowest(tasks)] == [str(number) for number in range(29, 19, -1)]


def test_a_run_that_met_no_host_says_why() -> None:
    error = failed().error
    empty = RunReport.model_validate({**report().model_dump(), "hosts": (), "error": error})
    assert "engine died" in html(empty)
    assert "engine died" in markdown(empty)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("output_throughput", 812.4, "812.4 tok/s"),
        ("output_throughput", 3807.5259, "3,807.5 tok/s"),
        ("max_output_tokens_per_s", 99.0, "99.0 tok/s"),
        ("request_throughput", 7.5348, "7.53 requests/s"),
        ("median_tpot_ms", 3.8123, "3.81 ms"),
        ("median_ttft_ms", 63.42, "63.4 ms"),
        ("mean_ttft_ms", 4253.85, "4,254 ms"),
        ("duration", 43.747, "43.7 s"),
        ("concurrency", 13.394, "13.39"),
        ("median_ttft_ms", None, "-"),
    ],
)
def test_how_metrics_are_written(name: str, value: float | None, text: str) -> None:
    assert fmt.metric(name, value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (60, "1 min 00 s"),
        (187, "3 min 07 s"),
        (3599.6, "1 h 00 min"),
        (3725, "1 h 02 min"),
        (None, "-"),
    ],
)
def test_how_spans_are_written(seconds: float | None, text: str) -> None:
    assert fmt.duration(seconds) == text


def test_other_numbers() -> None:
    assert (fmt.change(3.14), fmt.change(-0.04), fmt.change(None)) == ("+3.1 %", "-0.0 %", "-")
    assert (fmt.percent(40), fmt.count(249831), fmt.gib(24)) == ("40.0 %", "249,831", "24.0 GiB")
    assert fmt.words(["--a", "b c", ""]) == "--a 'b c' ''"


def test_every_bench_column_has_a_name() -> None:
    assert [fmt.label(name) for name in BENCH_COLUMNS] == [
        "output tok/s",
        "mean TTFT",
        "median TTFT",
        "P99 TTFT",
        "median TPOT",
        "median ITL",
        "P99 ITL",
        "duration",
    ]
    assert fmt.label("p95_e2e_latency_ms") == "P95 end-to-end latency"
    assert fmt.label("accept_length") == "accept length"
