"""The page in a real browser: what a user sees, edits and is told, held against numbers that are found elsewhere."""

from __future__ import annotations

import re

import pytest
import torch
from PIL import Image
from playwright.sync_api import Page, expect

from convsmith.design import lower, parse_design
from convsmith.interop.torch_module import build
from convsmith.quantities import format_count
from convsmith.scaling import price
from tests.studio.conftest import SMALL
from tests.studio.studio_browser import DESKTOP, PHONE, READY, unnamed, visit, watched
from tests.studio.studio_process import running

pytestmark = pytest.mark.slow


def text_of(page: Page) -> str:
    return page.locator("#text").input_value()


def totals(page: Page) -> list[str]:
    return page.locator(".tile b").all_text_contents()


def expect_priced(page: Page, text: str) -> None:
    """The page shows the multiply-adds and parameters of a design, as the solver prices them."""
    cost = price(parse_design(text))
    expect(page.locator("[data-metric=macs] b")).to_have_text(format_count(cost.macs))
    expect(page.locator("[data-metric=params] b")).to_have_text(format_count(cost.params))


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_fits_its_window_and_names_its_controls(browser, studio, size, scheme):
    with watched(browser, studio, size=size, scheme=scheme) as page:
        for view, sign in (("design", ".strip .block"), ("lab", "#c"), ("field", "#seen[aria-label]")):
            visit(page, studio, f"view={view}&lang={'zh' if scheme == 'dark' else 'en'}")
            expect(page.locator(sign).first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
            assert unnamed(page) == []
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, re.findall(r"\d+", paper))) > 380) == (scheme == "light")


def test_the_form_changes_the_text_and_the_text_the_form(page):
    expect_priced(page, SMALL)
    page.locator("[data-block='stage2.block1']").click()
    page.locator("#edit-width").fill("40")
    wanted = SMALL.replace("width = 24", "width = 40")
    expect(page.locator("#text")).to_have_value(wanted)
    expect_priced(page, wanted)
    page.locator("#edit-block").select_option("depthwise")
    expect(page.locator("#text")).to_have_value(wanted.replace("inverted_residual", "depthwise"))
    page.locator("#edit-resolution").fill("48")
    expect(page.locator("#text")).to_have_value(re.compile(r"input = \[3, 48, 48\]"))
    typed = SMALL.replace("depth = 2", "depth = 5")
    page.locator("#text").fill(typed)
    expect_priced(page, typed)
    assert page.locator(".block[data-section=stage1]").count() == 5
    page.locator("[data-block='stage1.block3']").click()
    expect(page.locator("#edit-depth")).to_have_value("5")
    page.locator("#edit-depth-slide").evaluate(
        "(one) => { one.value = 3; one.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    expect(page.locator("#edit-depth")).to_have_value("3")
    expect_priced(page, SMALL.replace("depth = 2", "depth = 3"))


def test_every_change_can_be_undone_and_the_address_opens_the_same_again(page, studio):
    page.locator("[data-block='stage1.block1']").click()
    page.get_by_role("button", name="Add a stage like it").click()
    expect(page.locator(".block[data-section=stage3]")).to_have_count(1)
    three = text_of(page)
    assert three.count("[[stage]]") == 3
    page.get_by_role("button", name="Remove this stage").click()
    expect(page.locator(".block[data-section=stage3]")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#text")).to_have_value(three)
    page.keyboard.press("Control+z")
    expect(page.locator("#text")).to_have_value(SMALL)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    page.keyboard.press("Control+Shift+z")
    expect(page.locator("#text")).to_have_value(three)
    page.locator("#budget-params").fill("1k")
    page.locator("#budget-params").press("Enter")
    expect(page.locator(".tile.over")).to_have_count(1)
    expect(page.locator(".row.over[data-row=params] .budget")).to_have_count(1)
    shown, address = totals(page), page.url
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector(READY)
    expect(page.locator("#text")).to_have_value(three)
    expect(page.locator(".tile.over")).to_have_count(1)
    assert totals(page) == shown
    expect(page.locator("[data-block='stage1.block1']")).to_have_attribute("aria-pressed", "true")
    assert studio.token not in page.url


def test_an_invalid_edit_keeps_the_picture_and_says_what_and_where(page):
    before = totals(page)
    page.locator("#text").fill(SMALL.replace("width = 16", "width = 0"))
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("stage[1].width")
    expect(alert).to_contain_text("received 0")
    expect(page.locator(".block.broken[data-section=stage1]")).to_have_count(2)
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    assert totals(page) == before
    page.locator("#text").fill(SMALL.replace("[3, 32, 32]", "[3, 2, 2]").replace("stride = 2", "stride = 4"))
    expect(alert).to_contain_text("below 1x1")
    expect(alert).to_contain_text("stage1 reads 8 × 2 × 2")
    page.locator("#text").fill(SMALL.replace("depth = 2", "depht = 2"))
    expect(alert).to_contain_text("did you mean 'depth'?")
    page.locator("#text").fill("= nonsense")
    expect(alert).to_contain_text("TOML")
    assert totals(page) == before
    page.locator("#text").fill(SMALL)
    expect(alert).to_have_count(0)


def test_the_keyboard_alone_reaches_and_changes_the_network(page):
    page.locator("#main").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.block"):
            break
    focused = page.locator(":focus")
    expect(focused).to_have_attribute("data-block", "stem")
    assert focused.evaluate("(one) => getComputedStyle(one.querySelector('.bar')).strokeWidth") == "3px"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator(":focus")).to_have_attribute("data-block", "stage1.block2")
    page.keyboard.press("Enter")
    expect(page.locator(".operator").first).to_be_visible()
    expect(page.locator(":focus")).to_have_attribute("data-block", "stage1.block2")
    page.keyboard.press("+")
    expect(page.locator("#text")).to_have_value(SMALL.replace("depth = 2", "depth = 3"))
    page.keyboard.press("[")
    expect(page.locator("#text")).to_have_value(
        SMALL.replace("depth = 2", "depth = 3").replace("width = 16", "width = 14")
    )
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_class(re.compile("operator"))


def test_an_operator_shows_its_formulas_with_its_own_numbers(page):
    formulas = page.locator("#formula math")
    texts = "(all) => all.map((one) => one.getAttribute('alttext'))"
    page.locator("[data-block='stage1.block1']").click()
    page.locator("[data-layer='stage1.block1.conv1.conv']").focus()
    expect(formulas).to_have_count(4)
    assert formulas.evaluate_all(texts) == [
        "16 × 8 × 3 × 3 weight = 1,152 params",
        "16 × 16 × 16 outputs × 8 × 3 × 3 taps = 294,912 macs",
        "⌊(32 + 1 + 1 − 3) / 2⌋ + 1 = 16 rows and columns",
        "3 + 1 × (3 − 1) = 5 pixels seen",
    ]
    expect(page.locator("#formula mfrac")).to_have_text("32+1+1−32")
    page.get_by_label("Language").select_option("zh")
    expect(page.get_by_role("button", name="设计", exact=True)).to_be_visible()
    page.locator("[data-layer='stage1.block1.conv1.conv']").focus()
    expect(formulas).to_have_count(4)
    assert formulas.evaluate_all(texts)[1] == "16 × 16 × 16 个输出 × 8 × 3 × 3 个核元素 = 294,912 次乘加"


def test_a_file_is_never_replaced_without_asking(browser, tmp_path):
    (tmp_path / "own.toml").write_text(SMALL, encoding="utf-8")
    with running(tmp_path, "own.toml") as studio, watched(browser, studio) as page:
        page.locator("#text").fill(SMALL.replace("width = 16", "width = 20"))
        page.locator("#file").fill("new.toml")
        page.get_by_role("button", name="Save").click()
        expect(page.locator(".done")).to_contain_text("new.toml")
        assert (tmp_path / "new.toml").read_text(encoding="utf-8") == text_of(page)
        page.locator("#file").fill("own.toml")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("dialog")).to_contain_text("exists already")
        page.get_by_role("button", name="Keep it").click()
        assert (tmp_path / "own.toml").read_text(encoding="utf-8") == SMALL
        (tmp_path / "own.toml").write_text("# somebody else's\n" + SMALL, encoding="utf-8")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("dialog")).to_contain_text("no longer what was opened")
        page.get_by_role("button", name="Replace it").click()
        expect(page.locator(".done")).to_contain_text("own.toml")
        assert (tmp_path / "own.toml").read_text(encoding="utf-8") == text_of(page)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("dialog")).to_contain_text("exists already")
        page.get_by_role("button", name="Keep it").click()
        page.locator("#file").fill("../out.toml")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("file's name")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["new.toml", "own.toml"]


def seen_by_torch(layer: str, unit: tuple[int, int]) -> tuple[list[int], list[int]]:
    """Rows and columns of the image that a unit's gradient reaches, all weights being alike."""
    graph = lower(parse_design(SMALL))
    nodes = graph.nodes[: 1 + [node.name for node in graph.nodes].index(layer)]
    module = build(type(graph)(graph.name, graph.inputs, nodes, (layer,))).double().eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.fill_(0.01)  # positive, and far below the 6 at which a ReLU6 has no gradient
    image = torch.ones(1, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    module(image)[0, :, unit[0], unit[1]].sum().backward()
    reached = image.grad[0].abs().sum(0) > 0
    return reached.any(1).nonzero().ravel().tolist(), reached.any(0).nonzero().ravel().tolist()


@pytest.mark.parametrize(("layer", "unit"), [("stage1.block2.act", (3, 15)), ("stage2.block1.spatial.conv", (0, 4))])
def test_a_unit_sees_the_pixels_that_its_gradient_reaches(page, studio, layer, unit):
    rows, columns = seen_by_torch(layer, unit)
    visit(page, studio, f"view=field&layer.name={layer}&unit={unit[0]},{unit[1]}")
    expect(page.locator("#said")).to_contain_text(
        f"{len(rows)} rows × {len(columns)} columns = {len(rows) * len(columns)} pixels"
    )
    high = 16 if layer.startswith("stage1") else 8
    box = page.locator(".map").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 4.5 / high, box["y"] + box["height"] * 2.5 / high)
    rows, columns = seen_by_torch(layer, (2, 4))
    expect(page.locator("#said")).to_contain_text(f"{len(rows)} rows × {len(columns)} columns = ")
    page.locator(".map").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#field-row")).to_have_value("3")
    rows, columns = seen_by_torch(layer, (3, 4))
    expect(page.locator("#said")).to_contain_text(f"{len(rows)} rows × {len(columns)} columns = ")


def test_the_users_own_picture_is_shown_and_what_is_none_is_refused(page, studio, tmp_path):
    Image.new("RGB", (64, 64), (200, 30, 220)).save(tmp_path / "own.png")
    (tmp_path / "none.png").write_bytes(b"no picture")
    visit(page, studio, "view=field&layer.name=stage1.block2.act")
    page.locator("#upload").set_input_files(tmp_path / "none.png")
    expect(page.get_by_role("alert")).to_contain_text("not a picture")
    page.locator("#upload").set_input_files(tmp_path / "own.png")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(".map image")).to_have_attribute("href", re.compile("/api/pictures/(?!sample)"))
    rows, columns = seen_by_torch("stage1.block2.act", (8, 8))
    found = page.evaluate("""() => {
        const canvas = document.getElementById("seen"), { scale, top, left } = canvas.dataset, ys = [], xs = [];
        const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let n = 0; n < data.length; n += 4) if (data[n] === 200 && data[n + 1] === 30 && data[n + 2] === 220) {
            ys.push(Math.floor(n / 4 / width)); xs.push((n / 4) % width);
        }
        const ends = (all, edge) => [Math.min(...all) - edge, Math.max(...all) + 1 - edge].map((one) => one / scale);
        return [...ends(ys, top), ...ends(xs, left)]; }""")
    wanted = [rows[0], rows[-1] + 1, columns[0], columns[-1] + 1]
    assert found == pytest.approx(wanted, abs=0.5)  # in pixels of the picture; the outline hides less than half of one


def test_a_server_that_is_gone_is_said_and_the_work_stays(browser, tmp_path):
    (tmp_path / "own.toml").write_text(SMALL, encoding="utf-8")
    with running(tmp_path, "own.toml") as studio, watched(browser, studio) as page:
        studio.process.kill()
        studio.process.wait()
        typed = SMALL.replace("width = 16", "width = 20")
        page.locator("#text").fill(typed)
        expect(page.get_by_role("alert")).to_contain_text("does not answer")
        assert text_of(page) == typed
        assert totals(page) != []
        page.complaints[:] = [one for one in page.complaints if "ERR_CONNECTION_REFUSED" not in one]
