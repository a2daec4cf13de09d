"""The way of somebody who types ``convsmith studio`` and reads nothing else, in a real browser."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from convsmith.design import parse_design
from convsmith.quantities import format_count
from convsmith.scaling import price
from convsmith.studio.first_run import NAME
from tests.studio.studio_browser import watched
from tests.studio.studio_process import running

pytestmark = pytest.mark.slow

PATIENCE = 180_000
"""Milliseconds for a training that takes some seconds where nothing else runs."""


def test_from_the_bare_command_to_a_saved_design_and_an_explained_prediction(browser, tmp_path):
    with running(tmp_path) as studio, watched(browser, studio) as page:
        page.locator("[data-block='stage2.block1']").click()
        page.locator("#edit-depth").fill("3")
        expect(page.locator(".block[data-section=stage2]")).to_have_count(3)
        page.get_by_role("button", name="Save").click()
        expect(page.locator(".done")).to_contain_text("resnet18.toml")
        saved = parse_design((tmp_path / "resnet18.toml").read_text(encoding="utf-8"))
        assert saved.stage[1].depth == 3
        expect(page.locator("[data-metric=macs] b")).to_have_text(format_count(price(saved).macs))
        page.get_by_role("button", name="Try it").click()
        page.get_by_role("button", name="Train a small network").click()
        expect(page.locator(".badge")).to_be_visible(timeout=PATIENCE)
        expect(page.locator(".badge")).to_have_text("finished", timeout=PATIENCE)
        accuracy = json.loads((tmp_path / NAME / "report.json").read_text())["accuracy"]["test"]
        assert accuracy > 0.85
        page.get_by_role("button", name="Try it on a picture").click()
        page.get_by_role("button", name="One of the run's test images").click()
        expect(page.locator("#answer")).to_contain_text("The picture is 8 × 8", timeout=PATIENCE)
        expect(page.locator("#saliency h2")).to_have_text(re.compile(r"What in the picture speaks for \d"))
        expect(page.locator("#saliency .shots img").nth(3)).to_be_visible()
        first = page.locator("#picture").get_attribute("src")
        page.get_by_role("button", name="One of the run's test images").click()
        expect(page.locator("#picture")).not_to_have_attribute("src", first)
        page.locator(".settings select").first.select_option(label=NAME)  # the run's network can be worked on, too
        page.get_by_role("button", name="Design", exact=True).click()
        expect(page.locator("#text")).to_have_value(re.compile('name = "first"'))
        assert sorted(one.name for one in tmp_path.iterdir()) == [NAME, f"{NAME}.toml", "resnet18.toml"]


def test_the_first_run_is_begun_once_and_nothing_of_somebody_elses_is_touched(tmp_path):
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "letter.txt").write_text("mine", encoding="utf-8")
    (tmp_path / f"{NAME}.toml").write_text("mine, too", encoding="utf-8")
    with running(tmp_path) as studio:
        refused = json.loads(studio.post("/api/first-run", b"{}")[2])
        assert "another use" in refused["error"]["message"]
        (tmp_path / NAME / "letter.txt").unlink()
        (tmp_path / NAME).rmdir()
        failed = json.loads(studio.post("/api/first-run", b"{}")[2])
        assert f"{NAME}.toml" in failed["error"]["message"]
        assert (tmp_path / f"{NAME}.toml").read_text(encoding="utf-8") == "mine, too"
        assert studio.ask("/api/first-run", "POST", b"{}")[0] == 403
        (tmp_path / NAME / "events.ndjson").write_text("", encoding="utf-8")
        told = [json.loads(studio.post("/api/first-run", b"{}")[2]) for _ in range(2)]
        assert [one["run"] for one in told] == [1, 1]
        assert told[0]["command"] == f"convsmith train {NAME}.toml digits --out {NAME} --epochs 12"
