"""The report as a reader has it: opened from disk in a real browser, on a desk, a phone and paper."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from devstral_fleet.report import format as fmt
from devstral_fleet.report.json_writer import read
from devstral_fleet.report.tables import host_tables
from devstral_fleet.report.tables_bench import BENCH_COLUMNS
from devstral_fleet.report.write import ReportPaths, write_all
from tests.support.browser import browser, opened
from tests.unit.report_full_samples import full_report
from tests.unit.report_samples import failed, report

PHONE = {"width": 390, "height": 844}
LEAST_CONTRAST = 4.5
"""WCAG 2, level AA."""
CELLS = """
caption => [...document.querySelectorAll('table')].filter(table => table.caption.textContent === caption).map(table =>
    [...table.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.firstChild?.textContent ?? '')))
"""
CONTRASTS = """
() => {
    const parts = text => text.match(/[\\d.]+/g).map(Number);
    const linear = c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => [r, g, b].map(c => linear(c / 255))
        .reduce((sum, c, index) => sum + c * [.2126, .7152, .0722][index], 0);
    const behind = node => {
        for (let at = node; at; at = at.parentElement) {
            const color = parts(getComputedStyle(at).backgroundColor);
            if (color.length === 3 || color[3] === 1) return color;
        }
    };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    while (walk.nextNode()) {
        const node = walk.currentNode.parentElement, style = getComputedStyle(node);
        if (!walk.currentNode.textContent.trim() || !node.checkVisibility()) continue;
        if (['title', 'desc'].includes(node.tagName)) continue;
        const fore = light(parts(node.tagName === 'text' ? style.fill : style.color)), back = light(behind(node));
        found.push([(Math.max(fore, back) + .05) / (Math.min(fore, back) + .05), walk.currentNode.textContent.trim()]);
    }
    return found;
}
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> ReportPaths:
    """Three whole hosts with eight GPUs each, and one that failed with a text that could break a page."""
    whole = full_report(3, gpus=8)
    return write_all(whole.model_copy(update={"hosts": (*whole.hosts, failed())}), tmp_path_factory.mktemp("report"))


def unfold(page: Page) -> None:
    page.evaluate("() => document.querySelectorAll('details').forEach(each => each.open = true)")


def test_it_says_nothing_and_asks_for_nothing(running: Browser, paths: ReportPaths) -> None:
    with opened(running, paths.html) as seen:
        unfold(seen.page)
        seen.page.screenshot()
        assert seen.messages == []
        assert seen.requests == [paths.html.as_uri()]


def test_a_page_that_would_ask_is_heard(running: Browser, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("<title>x</title><img src='other.png'><script>console.log('said')</script>")
    with opened(running, page) as seen:
        assert "said" in seen.messages
        assert len(seen.requests) == 2


def test_every_number_of_the_benchmark_is_the_jsons(running: Browser, paths: ReportPaths) -> None:
    hosts = [host for host in read(paths.json.read_text()).hosts if host.bench]
    with opened(running, paths.html) as seen:
        tables = seen.page.evaluate(CELLS, "Benchmark")
    assert len(tables) == len(hosts) == 3
    for host, rows in zip(hosts, tables, strict=True):
        assert [cells[:2] for cells in rows] == [[row.workload, str(row.concurrency)] for row in host.bench]
        shown = [cells[-len(BENCH_COLUMNS) :] for cells in rows]
        assert shown == [[fmt.metric(name, row.medians[name]) for name in BENCH_COLUMNS] for row in host.bench]


def test_every_table_is_in_the_page_cell_by_cell(running: Browser, paths: ReportPaths) -> None:
    told = read(paths.json.read_text())
    wanted = [table for host in told.hosts for table in host_tables(told, host)]
    with opened(running, paths.html) as seen:
        for caption in dict.fromkeys(table.caption for table in wanted):
            cells = [[[cell.text for cell in row] for row in each.rows] for each in wanted if each.caption == caption]
            assert seen.page.evaluate(CELLS, caption) == cells


def test_on_a_phone_only_tables_are_wider_than_the_screen(running: Browser, paths: ReportPaths) -> None:
    with opened(running, paths.html, viewport=PHONE) as seen:
        unfold(seen.page)
        assert seen.page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
        assert (
            seen.page.evaluate("() => Math.max(...[...document.querySelectorAll('svg')].map(s => s.clientWidth))") > 250
        )
        small = seen.page.evaluate(
            "() => [...document.querySelectorAll('svg text')].map(t => parseFloat(getComputedStyle(t).fontSize)"
            " * t.ownerSVGElement.clientWidth / t.ownerSVGElement.viewBox.baseVal.width)"
        )
        assert min(small) > 9.5


def test_dark_and_light_can_be_read(running: Browser, paths: ReportPaths) -> None:
    backgrounds = set()
    for scheme in ("light", "dark"):
        with opened(running, paths.html, color_scheme=scheme) as seen:
            unfold(seen.page)
            backgrounds.add(seen.page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
            contrasts = seen.page.evaluate(CONTRASTS)
            assert len(contrasts) > 1000
            assert not [(ratio, text) for ratio, text in contrasts if ratio < LEAST_CONTRAST]
    assert len(backgrounds) == 2


def test_paper_has_the_numbers_that_the_screen_folds(running: Browser, paths: ReportPaths) -> None:
    visible = "() => [...document.querySelectorAll('details table')].filter(each => each.checkVisibility()).length"
    with opened(running, paths.html, color_scheme="dark") as seen:
        assert seen.page.evaluate(visible) == 0
        seen.page.emulate_media(media="print", color_scheme="dark")
        assert seen.page.evaluate(visible) == seen.page.locator("details table").count() > 10
        assert not [each for each in seen.page.evaluate(CONTRASTS) if each[0] < LEAST_CONTRAST]
        printed = seen.page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 5


def test_the_keyboard_reaches_the_report_and_its_tables(running: Browser, paths: ReportPaths) -> None:
    with opened(running, paths.html) as seen:
        seen.page.keyboard.press("Tab")
        skip = seen.page.evaluate(
            "() => [document.activeElement.className, document.activeElement.getBoundingClientRect().x]"
        )
        assert skip[0] == "skip"
        assert skip[1] >= 0
        seen.page.keyboard.press("Enter")
        assert seen.page.url.endswith("#report")
        reached = set()
        for _ in range(60):
            seen.page.keyboard.press("Tab")
            reached.add(
                seen.page.evaluate("() => document.activeElement.ariaLabel ?? document.activeElement.textContent")
            )
    assert {"Benchmark", "Verdict", "The numbers", "Acceptance"} <= reached
    assert "gpu001" not in reached  # the skip link has skipped the list of hosts


def test_a_screen_reader_is_told_of_every_chart(running: Browser, paths: ReportPaths) -> None:
    with opened(running, paths.html) as seen:
        drawn = seen.page.locator("svg").count()
        nodes = seen.page.context.new_cdp_session(seen.page).send("Accessibility.getFullAXTree")["nodes"]
        images = [node for node in nodes if node.get("role", {}).get("value") in {"image", "img"}]
        names = [node["name"]["value"] for node in images]
    assert len(names) == drawn == 3 * 20 + 1
    assert len(set(names)) == drawn
    assert all("table below" in name for name in names)


@pytest.mark.parametrize("hosts", [0, 1])
def test_a_small_report_opens_too(running: Browser, tmp_path: Path, hosts: int) -> None:
    few = report().model_copy(update={"hosts": report().hosts[2 : 2 + hosts]})
    with opened(running, write_all(few, tmp_path).html, viewport=PHONE) as seen:
        assert seen.messages == []
        assert seen.page.locator("svg").count() == 0
        assert seen.page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]


def test_a_hundred_hosts_are_one_small_page_that_unfolds_a_host(running: Browser, tmp_path: Path) -> None:
    many = write_all(full_report(100), tmp_path).html
    assert many.stat().st_size < 3_000_000
    with opened(running, many) as seen:
        assert not seen.page.locator("#host-60").is_visible()
        seen.page.get_by_role("link", name="gpu060").click()
        assert seen.page.locator("#host-60").is_visible()
        assert seen.messages == []
        assert len(seen.requests) == 1
