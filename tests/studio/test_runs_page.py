"""The runs view in a real browser: what a user sees of a run that is over, goes on, was stopped or cannot be read."""

from __future__ import annotations

import json
import re
import signal
import time

import pytest
from PIL import Image
from playwright.sync_api import expect

from convsmith.design import parse_design, zoo
from convsmith.jobs.predict import predict
from convsmith.quantities import format_count
from convsmith.scaling import Factors, Limits, price, scale
from convsmith.scaling.rules import RULES
from tests.jobs.jobs_digits import digit_pixels
from tests.studio.conftest import SMALL
from tests.studio.run_folders import started, working_on
from tests.studio.studio_browser import DESKTOP, PHONE, unnamed, visit, watched
from tests.studio.studio_process import running

pytestmark = pytest.mark.slow

DRAWN = """(where) => {
    const box = document.querySelector(where)?.getBoundingClientRect();
    return box?.width && { width: box.width, height: box.height };
}"""
"""The size of an element once it has one: a chart that has just come is drawn anew at the width it was given."""


@pytest.fixture(scope="module")
def studio(made):
    with running(made.folder, "fit", "train", "curves") as one:
        one.post("/api/evidence", b'{"run": 0}')  # torch is loaded now, which takes long where much else runs
        yield one


def test_a_search_shows_its_rungs_its_map_its_ties_and_what_it_was_made_of(browser, studio, made):
    report = json.loads((made.fit / "report.json").read_text())
    with watched(browser, studio) as page:
        visit(page, studio, "view=runs")
        expect(page.locator(".sentence")).to_have_text(report["sentence"])
        expect(page.locator("[data-chart=rungs] .dots")).not_to_have_count(0)
        trained = {one["key"] for one in report["candidates"] if one["rungs"] or one["final"]}
        expect(page.locator(".ternary .dot")).to_have_count(len(trained))
        places = [one["shares"].values() for one in report["candidates"] if one["key"] in trained]
        outside = page.locator("[data-chart=map]", has_text="Outside the triangle, one of the three shrank")
        expect(outside).to_have_count(int(any(min(shares) < -1e-6 for shares in places)))
        expect(page.locator(".interval")).to_have_count(sum(bool(one["final"]) for one in report["candidates"]))
        page.locator("#provenance summary").click()
        expect(page.locator("#provenance")).to_contain_text(report["data"]["digest"])
        expect(page.locator("#stop")).to_have_count(0)
        page.locator("#run").select_option(label="curves")
        expect(page.locator("[data-chart=saturation] [data-line]")).to_have_count(4)
        page.locator("#run").select_option(label="train")
        expect(page.locator("[data-chart=loss] .line")).to_have_count(1)
        box = page.wait_for_function(DRAWN, arg="[data-chart=loss] svg").json_value()
        last = json.loads((made.train / "report.json").read_text())["history"][-1]
        place = {"x": box["width"] - 14 - 0.037 * (box["width"] - 78), "y": box["height"] - 50}
        page.locator("[data-chart=loss] svg").hover(position=place)
        expect(page.locator("[data-chart=loss] .reading")).to_contain_text(f"{last['loss']:.3f}")


def test_a_cell_of_the_matrix_opens_its_images_by_mouse_and_keyboard(browser, studio, made):
    matrix = json.loads((made.train / "report.json").read_text())["confusion"]["matrix"]
    row, column = next((r, c) for r in range(10) for c in range(10) if matrix[r][c] and r != c)
    with watched(browser, studio) as page:
        visit(page, studio, "view=runs&run=1")
        page.locator(f"[data-row='{row}'][data-column='{column}']").click()
        expect(page.locator(".pictures img")).to_have_count(matrix[row][column])
        page.wait_for_function(
            "() => [...document.querySelectorAll('.pictures img')].every((one) => one.naturalWidth === 8)"
        )
        page.locator("[data-row='0'][data-column='0']").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        expect(page.locator("#behind h2")).to_have_text(f"1 taken for 1: {matrix[1][1]}")
        address = page.url
        page.goto("about:blank")
        page.goto(address)
        expect(page.locator("#behind h2")).to_have_text(f"1 taken for 1: {matrix[1][1]}")


def test_confidence_is_compared_with_accuracy_when_it_is_asked_for(browser, studio, made):
    report = json.loads((made.train / "report.json").read_text())
    with watched(browser, studio) as page:
        visit(page, studio, "view=runs&run=1")
        page.locator("#ask-calibration").click()
        gap = f"{100 * report['accuracy']['calibration_error']:.1f} %"
        expect(page.locator("#gap")).to_contain_text(
            f"The mean gap over {report['accuracy']['images']} images is {gap}"
        )
        expect(page.locator("[data-chart=calibration] [data-line]")).to_have_count(2)
        visit(page, studio, page.url.partition("#")[2])
        expect(page.locator("#gap")).to_contain_text(gap)


def test_the_field_of_a_run_shows_what_a_unit_depends_on(browser, studio):
    with watched(browser, studio) as page:
        visit(page, studio, "view=field&z=resnet18")
        expect(page.locator("#said li").first).to_be_visible()
        expect(page.locator("#effective")).to_have_count(0)  # a published design has no weights
        visit(page, studio, "view=field&o=1&layer.name=stage1.block1.act&unit=1,2")
        expect(page.locator("#said li").first).to_be_visible()
        before = page.locator("#said").text_content()
        page.locator("#effective").check()
        expect(page.locator("#said")).to_contain_text("It depends on")
        pixels, side = re.search(r"on (\d+) pixels .+ side ([\d.]+) has", page.locator("#said").text_content()).groups()
        assert float(side) == pytest.approx(int(pixels) ** 0.5, abs=0.06)
        page.locator(".map").focus()
        page.keyboard.press("ArrowDown")
        expect(page.locator("#field-row")).to_have_value("2")
        expect(page.locator("#said")).to_contain_text("It depends on")
        page.keyboard.press("ArrowUp")
        page.locator("#effective").uncheck()
        expect(page.locator("#said")).to_have_text(before)
        page.get_by_role("button", name="Design", exact=True).click()
        page.locator("#edit-width").fill("12")
        expect(page.locator("#undo")).to_be_enabled()
        page.get_by_role("button", name="Receptive field").click()
        expect(page.locator("#said li").first).to_be_visible()
        expect(page.locator("#effective")).to_have_count(0)  # these are other weights than the run has


def test_an_event_shows_within_a_second_and_the_run_can_be_stopped_and_gone_on_with(browser, made, tmp_path):
    lines = (made.train / "events.ndjson").read_bytes().splitlines(True)
    points = [number for number, line in enumerate(lines) if b'"event": "point"' in line]
    folder = started(made.train, tmp_path / "live", points[2])
    with (
        working_on(folder) as process,
        running(tmp_path, "live") as studio,
        watched(browser, studio) as page,
    ):
        visit(page, studio, "view=runs")
        expect(page.locator(".badge")).to_have_text("running")
        table = page.locator("[data-chart=loss] tbody tr")
        expect(table).to_have_count(2)
        page.evaluate("""() => new MutationObserver(() => { window.changed ??= Date.now(); })
            .observe(document.querySelector("#run-body"), {childList: true})""")
        process.stdin.write(lines[points[2]])
        written = 1000 * time.time()
        expect(table).to_have_count(3)
        assert page.evaluate("window.changed") - written < 20_000  # seen by itself; benchmarks/studio.py has how soon
        page.locator("#stop").click()
        page.get_by_role("button", name="Let it run").click()
        assert process.poll() is None
        page.locator("#stop").click()
        page.locator("#stop-yes").click()
        assert process.wait(20) == -signal.SIGTERM
        expect(page.locator(".badge")).to_have_text("stopped")
        expect(page.locator("#resume")).to_contain_text("convsmith train")
        expect(page.locator("#resume")).to_contain_text("--resume")
        expect(table).to_have_count(3)


def test_runs_that_begin_are_half_written_or_newer_are_said_and_nothing_is_lost(browser, made, tmp_path):
    log = (made.train / "events.ndjson").read_bytes()
    (tmp_path / "begun").mkdir()
    with (
        working_on(tmp_path / "begun") as process,
        running(tmp_path, "begun") as studio,
        watched(browser, studio) as page,
    ):
        visit(page, studio, "view=runs")
        expect(page.get_by_role("alert")).to_contain_text("only begun")
        process.stdin.write(log.splitlines(True)[0])
        expect(page.locator(".badge.running")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
        with (tmp_path / "begun" / "events.ndjson").open("ab") as stream:
            stream.write(log.splitlines(True)[0].replace(b"events/1", b"events/2"))
        expect(page.get_by_role("alert")).to_contain_text("newer convsmith")
        expect(page.locator(".badge.running")).to_be_visible()
        assert (tmp_path / "begun" / "events.ndjson").read_bytes().startswith(log.splitlines(True)[0])
        page.get_by_role("button", name="Design", exact=True).click()
        expect(page.locator(".strip .block").first).to_be_visible()


def test_only_images_of_opened_runs_are_handed_out_and_by_number_alone(studio):
    cookie = studio.enter()
    status, headers, body = studio.ask("/api/runs/1/images/0", cookie=cookie)
    assert (status, headers["content-type"]) == (200, "image/png")
    assert body.startswith(b"\x89PNG")
    for path in ("/api/runs/1/images/999999", "/api/runs/9/images/0", "/api/runs/-1/images/0", "/api/runs/1/images/-1",
                 "/api/runs/1/images/../../events.ndjson", "/api/runs/1/images/%2e%2e%2fevents.ndjson",
                 "/api/runs/../train/events.ndjson", "/api/runs/1/events.ndjson"):  # fmt: skip
        status, _, body = studio.ask(path, cookie=cookie)
        assert status == 404, path
        assert b"schema" not in body
    assert studio.ask("/api/runs/1/images/0")[0] == 403
    for body in (b'{"run": "../train", "seen": ""}', b'{"run": 7, "seen": ""}', b'{"run": -1, "seen": ""}', b"{}"):
        status, _, answer = studio.post("/api/run", body)
        assert not json.loads(answer)["ok"]
    status, _, _ = studio.ask("/api/stop", "POST", b'{"run": 1}', [("Origin", "http://evil.example")], cookie=cookie)
    assert status == 403


def test_without_a_run_the_view_says_how_to_open_one(browser, tmp_path):
    with running(tmp_path) as studio, watched(browser, studio) as page:
        visit(page, studio, "view=runs")
        expect(page.locator("#no-run")).to_have_text(re.compile("convsmith studio RUN"))


def test_sliders_scale_the_design_and_a_rule_makes_one_of_the_budget(browser, made, tmp_path):
    (tmp_path / "own.toml").write_text(SMALL, encoding="utf-8")
    with running(made.folder, str(tmp_path / "own.toml"), "fit", "curves") as studio, watched(browser, studio) as page:
        visit(page, studio, "view=scale")
        page.locator("#slide-width").evaluate(
            "(one) => { one.value = 1; one.dispatchEvent(new Event('input', {bubbles: true})); }"
        )
        wanted = price(scale(parse_design(SMALL), Factors(width=2.0)))
        expect(page.locator("[data-scaled=macs]")).to_contain_text(f"→ {format_count(wanted.macs)}")
        expect(page.locator("#scale-width")).to_have_value("2")
        expect(page.locator(".ternary .dot.rule")).not_to_have_count(0)
        expect(page.locator("[data-chart=iso] .line")).to_have_count(3)
        expect(page.locator("[data-chart=candidates] .bars")).to_have_count(1)
        page.locator("#run").select_option(label="curves")
        expect(page.locator("[data-chart=saturation] .bars")).to_have_count(4)
        page.locator("#scale-macs").fill("2M")
        expect(page).to_have_url(re.compile(r"s\.macs=2M"))
        address = page.url
        page.goto("about:blank")
        page.goto(address)
        page.locator("[data-rule=dwr] button").click()
        page.get_by_role("button", name="Design", exact=True).click()
        taken = RULES["dwr"].apply(parse_design(SMALL), Limits(macs=2_000_000))
        expect(page.locator("[data-metric=macs] b")).to_have_text(format_count(price(taken).macs))
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#text")).to_have_value(SMALL)
        page.get_by_role("button", name="Scale", exact=True).click()
        page.locator("#scale-resolution").fill("0.05")
        expect(page.get_by_role("alert")).to_be_visible()


def test_two_networks_stand_side_by_side_with_what_they_reached(browser, studio, made):
    with watched(browser, studio) as page:
        visit(page, studio, "view=compare&c.first=zresnet18&c.second=o1")
        expect(page.locator("#strips .strip")).to_have_count(2)
        report = json.loads((made.train / "report.json").read_text())
        low, high = report["accuracy"]["ci95"]
        text = f"{100 * report['accuracy']['test']:.1f} % ({100 * low:.1f} % – {100 * high:.1f} %)"
        expect(page.locator("#compared")).to_contain_text(text)
        wide = [box["width"] for box in map(lambda one: one.bounding_box(), page.locator("#strips .strip").all())]
        assert wide[0] > 5 * wide[1]
        page.locator("#compare-second").select_option("zresnet34")
        expect(page.locator("#same")).to_contain_text("layers are the same")
        expect(page.locator("#compared")).to_contain_text(format_count(price(zoo.load("resnet34")).macs))
        assert "c.second=zresnet34" in page.url


def test_a_picture_is_answered_and_explained_and_what_is_none_is_refused(browser, studio, made, tmp_path):
    image = Image.fromarray(digit_pixels()[12, ..., 0])
    image.save(tmp_path / "digit.png")
    (tmp_path / "none.png").write_bytes(b"no picture")
    (label, share), *_ = predict(made.train, [tmp_path / "digit.png"]).predictions[0].labels
    with watched(browser, studio) as page:
        visit(page, studio, "view=try&run=1")
        expect(page.locator("#answer h2")).to_be_visible()
        page.locator("#upload").set_input_files(tmp_path / "digit.png")
        expect(page.locator("#answer h2")).to_have_text(label)
        expect(page.locator(".labels b").first).to_have_text(f"{100 * share:.1f} %")
        expect(page.locator("#took")).to_contain_text("It took")
        expect(page.locator("#saliency h2")).to_have_text(f"What in the picture speaks for {label}")
        page.locator("#target").select_option("3")
        expect(page.locator("#saliency h2")).to_have_text("What in the picture speaks for 3")
        page.wait_for_function(
            "() => [...document.querySelectorAll('.shots img')].every((one) => one.naturalWidth > 1)"
        )
        page.locator("#upload").set_input_files(tmp_path / "none.png")
        expect(page.get_by_role("alert")).to_contain_text("not a picture")
        expect(page.locator("#answer h2")).to_have_text(label)
        page.get_by_role("button", name="Features", exact=True).click()
        expect(page.locator("#features .shots img")).not_to_have_count(0)
        page.locator("#ask-excites").click()
        expect(page.locator("#excites .shots img")).to_have_count(2)
        page.locator("#ask-similarity").click()
        expect(page.locator("#similarity .shots img").first).to_be_visible()
        visit(page, studio, "view=try&run=1&picture=of-an-earlier-start")
        expect(page.locator("#answer h2")).to_be_visible()
        assert "picture=" not in page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_of_a_run_fits_its_window_and_names_its_controls(browser, studio, scheme):
    for size in (DESKTOP, PHONE):
        with watched(browser, studio, size=size, scheme=scheme) as page:
            for view, sign in (
                ("scale", "[data-chart=iso] svg"), ("compare", "#same"), ("runs", ".badge"), ("try", "#saliency table"),
                ("seen", "#features table"),
            ):  # fmt: skip
                visit(page, studio, f"view={view}&lang={'zh' if scheme == 'dark' else 'en'}")
                expect(page.locator(sign).first).to_be_visible()
                assert page.evaluate("document.documentElement.scrollWidth") <= size[0], view
                assert unnamed(page) == []
