"""What is large stays a page that one can use: a study of ten thousand networks, a network of a thousand layers."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

from convsmith.design import lower, parse_design
from convsmith.ops import Conv2d
from convsmith.quantities import format_count, format_percent
from convsmith.scaling import price
from tests.studio.conftest import DEEP
from tests.studio.run_folders import large_study
from tests.studio.studio_browser import visit, watched
from tests.studio.studio_process import running

pytestmark = pytest.mark.slow

NETWORKS = 10_000
ELEMENTS = 3_000
"""Of a page that still answers at once; a study as elements would be tens of thousands."""


def elements(page: Page) -> int:
    return page.evaluate("document.querySelectorAll('*').length")


def read_under_pointer(page: Page, chart: str) -> str:
    """What the reading line says where the pointer is put into a chart: in the middle, or left of it."""
    svg, reading = page.locator(f"[data-chart={chart}] svg"), page.locator(f"[data-chart={chart}] .reading")
    box = svg.bounding_box()
    for share in (0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.08, 0.06):
        svg.hover(position={"x": share * box["width"], "y": box["height"] / 2})
        page.wait_for_timeout(500)
        if re.search(r"\d", reading.text_content()):
            return reading.text_content()
    raise AssertionError(f"no dot of {chart} is under the pointer")


def test_a_study_of_ten_thousand_networks_is_drawn_and_each_of_them_can_be_read(browser, made, tmp_path):
    study = large_study(made.fit, tmp_path / "large", NETWORKS)
    report = json.loads((study / "report.json").read_text())
    networks = {re.search('name = "(.+)"', one["design"])[1]: one for one in report["candidates"]}
    points = sum(len(one["rungs"]) for one in report["candidates"])
    with running(tmp_path, "large") as studio, watched(browser, studio) as page:
        page.set_default_timeout(60_000)
        visit(page, studio, "view=runs")
        expect(page.locator("#confusion")).to_be_visible(timeout=60_000)
        for chart in ("map", "rungs"):
            expect(page.locator(f"[data-chart={chart}] canvas.points")).to_have_count(1)
        page.wait_for_function(
            "(all) => document.querySelector('[data-chart=rungs] .points').dataset.count === all", arg=str(points)
        )
        page.locator("[data-chart=rungs] summary").click()
        expect(page.locator("[data-chart=rungs] details")).to_contain_text(f"150 of {points} points")
        assert elements(page) < ELEMENTS
        name, _, right = re.search(r"· (\S+) · (\S+): (.+ %)", read_under_pointer(page, "rungs")).groups()
        assert right == format_percent(networks[name]["rungs"][0]["accuracy"])
        visit(page, studio, "view=scale&z=resnet18")
        expect(page.locator("[data-chart=iso] svg")).to_be_visible(timeout=60_000)
        expect(page.locator("[data-chart=candidates] canvas.points")).to_have_count(1, timeout=60_000)
        _, name, macs, params, right = read_under_pointer(page, "candidates").split(" · ")
        one = networks[name]
        assert [macs, params] == [format_count(one["macs"]), format_count(one["params"])]
        assert right == format_percent(one["rungs"][0]["accuracy"])
        assert elements(page) < ELEMENTS


def test_a_network_of_a_thousand_layers_is_edited_costed_and_looked_through(browser, tmp_path):
    assert sum(isinstance(node.op, Conv2d) for node in lower(parse_design(DEEP)).nodes) > 1_000
    (tmp_path / "deep.toml").write_text(DEEP, encoding="utf-8")
    with running(tmp_path, "deep.toml") as studio, watched(browser, studio) as page:
        page.set_default_timeout(60_000)
        expect(page.locator(".strip .block")).to_have_count(335)
        assert elements(page) < ELEMENTS
        page.locator("#numbers summary").click()
        expect(page.locator("#numbers tbody tr")).to_have_count(5 + 333)
        page.locator("[data-block='stage2.block7']").click()
        page.locator("#edit-width").fill("40")
        wanted = price(parse_design(DEEP.replace("width = 32", "width = 40")))
        expect(page.locator("[data-metric=macs] b")).to_have_text(format_count(wanted.macs), timeout=60_000)
        page.locator("[data-layer='stage2.block7.spatial.conv']").focus()
        expect(page.locator("#formula math").first).to_be_visible(timeout=60_000)
        visit(page, studio, "view=field")
        sees = 1 + 2 + 111 * 2 + 2 + 110 * 2 * 2 + 2 * 2 + 110 * 2 * 4  # stem; then (3 - 1) x jump of each block
        expect(page.locator("#said")).to_contain_text(f"Longest path: {sees} × {sees} pixels", timeout=60_000)
        assert elements(page) < ELEMENTS
        page.locator("#map-layer").select_option("stage1.block2.act")
        expect(page.locator("#said")).to_contain_text("Longest path: 7 × 7 pixels")
        page.locator("#map-layer").select_option("stage1.block2.spatial.conv")
        expect(page.locator("#said")).to_contain_text("Shortest path: 3 × 3 pixels")
