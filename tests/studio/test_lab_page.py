"""The convolution lab in a real browser: its grids, walks, stamps, matrix and formulas, held against torch."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
import torch
from playwright.sync_api import Page, expect
from torch.nn import functional

from convsmith.report.weight_colors import weight_color
from tests.studio.studio_browser import visit

pytestmark = pytest.mark.slow


def grid(page: Page, which: str, columns: int) -> torch.Tensor:
    texts = page.locator(f".grid.{which} .cell text").all_text_contents()
    return (
        torch.tensor([float(text.replace("−∞", "-inf").replace("−", "-")) for text in texts])
        .double()
        .reshape(-1, columns)
    )


def drawn(page: Page, which: str) -> torch.Tensor:
    """The numbers that a grid shows."""
    if which == "input":
        cells = page.locator(".grid.input .cell.pixel").evaluate_all(
            "(all) => all.map((one) => [one.dataset.place, one.textContent])"
        )
        columns = len({place.split()[1] for place, _ in cells})
        return torch.tensor([float(text) for _, text in cells]).double().reshape(-1, columns)
    cells = page.locator(f".grid.{which} .cell rect").evaluate_all("(all) => all.map((one) => one.getAttribute('x'))")
    return grid(page, which, len(set(cells)))


def go(page: Page, place: str) -> None:
    """Change the address, and wait until the grids stand for it."""
    page.evaluate("(place) => { location.hash = place; }", f"view=lab&{place}")
    page.wait_for_function(
        """(asked) => { const shown = new URLSearchParams(document.getElementById("grids")?.dataset.shown);
            return [...new URLSearchParams(asked)].every(([key, value]) => shown.get(key) === value); }""",
        arg=place,
    )


def shown_as(values: torch.Tensor) -> torch.Tensor:
    """As the page writes numbers: four digits where they are not whole."""
    return (
        torch.tensor([float(f"{value:.4g}") if value != value.round() else float(value) for value in values.ravel()])
        .double()
        .reshape(values.shape)
    )


def random_settings(count: int) -> Iterator[dict[str, int | str]]:
    chance = random.Random(7)
    for number in range(count):
        layer = ("conv", "transposed", "fraction", "max", "average")[number % 5]
        kernel = chance.randint(2, 4)
        yield {
            "layer": layer, "high": chance.randint(4, 8), "wide": chance.randint(4, 8), "kernel": kernel,
            "stride": chance.randint(1, 3), "padding": chance.randint(0, kernel // 2),
            "dilation": 1 if layer in ("average", "fraction") else chance.randint(1, 2), "seed": chance.randint(1, 999),
        }  # fmt: skip


def by_torch(one, x: torch.Tensor, sliding: torch.Tensor | None) -> torch.Tensor:
    """What torch makes of the numbers on the page; a transposed kernel slides turned by half."""
    k, s, p, d = (one[key] for key in ("kernel", "stride", "padding", "dilation"))
    x = x[None, None]
    if one["layer"] == "conv":
        return functional.conv2d(x, sliding[None, None], stride=s, padding=p, dilation=d)[0, 0]
    if one["layer"] in ("transposed", "fraction"):
        padding = p if one["layer"] == "transposed" else d * (k - 1) - p
        return functional.conv_transpose2d(x, sliding.flip(0, 1)[None, None], stride=s, padding=padding, dilation=d)[
            0, 0
        ]
    if one["layer"] == "max":
        return functional.max_pool2d(x, k, s, p, d)[0, 0]
    return functional.avg_pool2d(x, k, s, p)[0, 0]


def test_the_lab_shows_what_torch_computes_for_random_settings(page, studio):
    visit(page, studio, "view=lab")
    for one in random_settings(15):
        stride = f"1/{one['stride']}" if one["layer"] == "fraction" else one["stride"]
        layer = "conv" if one["layer"] == "fraction" else one["layer"]
        settings = {"layer": layer, "input": f"{one['high']}x{one['wide']}", "stride": stride}
        place = urlencode({**settings, **{key: one[key] for key in ("kernel", "padding", "dilation", "seed")}})
        go(page, place)
        x = drawn(page, "input")
        assert x.shape == (one["high"], one["wide"])
        sliding = None if one["layer"] in ("max", "average") else drawn(page, "kernel")
        wanted = shown_as(by_torch(one, x, sliding))
        assert torch.equal(drawn(page, "output"), wanted), one
        last = wanted.numel() - 1
        page.locator(f".grid.output [data-at='{last}']").hover()
        expect(page.locator("#value")).to_have_text(
            page.locator(f".grid.output [data-at='{last}'] text").text_content()
        )
        if sliding is not None:
            products = [
                text.replace("(", "").replace(")", "").replace("−", "-").split("×")
                for text in page.locator(".product").all_text_contents()
            ]
            assert sum(int(weight) * int(pixel) for weight, pixel in products) == wanted[-1, -1]


def test_the_lab_sums_over_channels_as_torch_does(page, studio):
    visit(page, studio, "view=lab&layer=conv&input=4x5x5&kernel=3&padding=1&groups=2&out_channels=4&seed=5")
    page.wait_for_selector(".grid.output .cell")
    planes, kernels, maps = [], {}, {}
    for plane in range(4):
        page.locator("#grids select").nth(1).select_option(str(plane))
        for channel in (plane // 2 * 2, plane // 2 * 2 + 1):
            page.locator("#grids select").first.select_option(str(channel))
            maps[channel], kernels[plane, channel % 2] = drawn(page, "input"), drawn(page, "kernel")
        planes.append(drawn(page, "output"))
    x = torch.stack([maps[channel] for channel in range(4)])
    weight = torch.stack([torch.stack([kernels[plane, k] for k in range(2)]) for plane in range(4)])
    assert torch.equal(torch.stack(planes), functional.conv2d(x[None], weight, padding=1, groups=2)[0])


def test_each_place_of_the_matrix_is_linked_to_its_output_pixel_and_weight(page, studio):
    visit(page, studio, "view=lab")
    canvas = page.locator("#c")
    expect(page.locator("#matrix-facts")).to_contain_text("4 outputs × 16 inputs, 36 entries of 9 different weights")
    box = canvas.bounding_box()
    side = (box["width"] - 2) / 16
    for row in range(4):
        for column in range(16):
            page.mouse.move(box["x"] + 1 + (column + 0.5) * side, box["y"] + 1 + (row + 0.5) * side)
            (i, j), (y, x) = divmod(row, 2), divmod(column, 4)
            inside = 0 <= y - i < 3 and 0 <= x - j < 3
            wanted = f"weight {3 * (y - i) + x - j}" if inside else "not connected"
            expect(page.locator("#entry")).to_have_text(f"y{row}, x{column}: {wanted}")
            expect(page.locator(".output .cell.chosen")).to_have_attribute("data-at", str(row))
            if inside and column % 5 == 0:
                expect(page.locator(".input .cell.hot")).to_have_attribute("data-pixel", str(column))
                expect(page.locator(".kernel .cell.hot")).to_have_attribute("data-weight", str(3 * (y - i) + x - j))
    colors = page.evaluate("""(side) => {
        const all = document.getElementById("c").getContext("2d").getImageData(0, 0, 18 * side, 5 * side);
        const at = (n) => 4 * ((1 + (n >> 4) * side + 4) * all.width + 1 + (n % 16) * side + 4);
        return [...Array(64).keys()].map((n) => [...all.data.slice(at(n), at(n) + 4)]); }""", side)  # fmt: skip
    for number, (red, green, blue, _) in enumerate(colors):
        (row, column) = divmod(number, 16)
        (i, j), (y, x) = divmod(row, 2), divmod(column, 4)
        if 0 <= y - i < 3 and 0 <= x - j < 3:
            assert f"#{red:02x}{green:02x}{blue:02x}" == weight_color(3 * (y - i) + x - j, 9)
    page.get_by_role("button", name="Cᵀ").click()
    assert canvas.bounding_box()["height"] > canvas.bounding_box()["width"]
    canvas.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#entry")).to_contain_text("y")


def test_the_walk_plays_stops_and_can_be_sought(page, studio):
    visit(page, studio, "view=lab&layer=conv&input=6x6&kernel=3&stride=2")
    expect(page.locator("[data-fact=dropped]")).to_have_text("rows 5; columns 5")
    expect(page.locator(".input .dropped")).to_have_count(11)
    page.locator("#time").fill("3")
    expect(page.locator(".output .chosen")).to_have_attribute("data-at", "3")
    expect(page.locator(".input .read")).to_have_count(9)
    page.locator("#forth").click()
    expect(page.locator(".output .chosen")).to_have_attribute("data-at", "0")
    page.locator("#speed").select_option("200")
    page.locator("#play").click()
    expect(page.locator("#play")).to_have_text("Pause")
    expect(page.locator(".output .chosen")).not_to_have_attribute("data-at", "0")
    page.locator("#play").click()
    stopped = page.locator(".output .chosen").get_attribute("data-at")
    page.wait_for_timeout(500)
    expect(page.locator(".output .chosen")).to_have_attribute("data-at", stopped)
    page.locator(f"[data-at='{stopped}']").focus()
    page.keyboard.press("Home")
    expect(page.locator(".output .chosen")).to_have_attribute("data-at", "0")
    page.locator("#lab-kernel").fill("9")
    expect(page.get_by_role("alert")).to_contain_text("kernel_size")
    expect(page.locator(".output .cell")).to_have_count(4)
    page.locator("#lab-kernel").fill("3")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_layer_of_the_design_is_loaded_with_its_own_facts(page):
    page.get_by_role("button", name="Convolution lab").click()
    page.locator("#from-design").select_option("stage2.block1.spatial.conv")
    expect(page.locator("#lab-input")).to_have_value("96x16x16")
    expect(page.locator("#lab-groups")).to_have_value("96")
    expect(page.locator("[data-fact=output]")).to_have_text("96 × 8 × 8")
    outputs, macs = "96 × 8 × 8 outputs × 1 × 3 × 3 taps", 96 * 8 * 8 * 9
    expect(page.locator("[data-fact=macs] math")).to_have_attribute("alttext", f"{outputs} = {macs:,} macs")
    expect(page.locator(".note")).to_contain_text("the same window")
    page.locator("#preset").select_option("max")
    expect(page.locator("#matrix")).to_contain_text("There is no matrix")


def stamped(page: Page) -> torch.Tensor:
    """The output under the stamps, without what padding cuts off."""
    cells = page.locator(".grid.output .cell.stamped").evaluate_all(
        "(all) => all.map((one) => [one.dataset.place, one.textContent])"
    )
    columns = len({place.split()[1] for place, _ in cells})
    return torch.tensor([float(text.replace("−", "-")) for _, text in cells]).double().reshape(-1, columns)


def transposed_settings(count: int) -> Iterator[dict[str, int | str]]:
    chance = random.Random(11)
    for number in range(count):
        kernel, stride, dilation = chance.randint(1, 4), chance.randint(1, 3), chance.randint(1, 2)
        extent = dilation * (kernel - 1)
        yield {
            "layer": ("transposed", "conv")[number % 2], "high": chance.randint(3, 6), "wide": chance.randint(3, 6),
            "kernel": kernel, "stride": stride + number % 2, "padding": chance.randint(0, extent),
            "dilation": dilation, "output_padding": chance.randint(0, max(stride, dilation) - 1),
            "seed": chance.randint(1, 999),
        }  # fmt: skip


def test_stamps_add_up_to_what_torch_computes_and_so_does_every_part_of_them(page, studio):
    visit(page, studio, "view=lab")
    for one in transposed_settings(12):
        k, s, d, more = (one[key] for key in ("kernel", "stride", "dilation", "output_padding"))
        transposed = one["layer"] == "transposed"
        more = more if more < max(s, d) else 0
        settings = {"layer": one["layer"], "input": f"{one['high']}x{one['wide']}", "output_padding": more,
                    "stride": s if transposed else f"1/{s}", "kernel": k, "padding": one["padding"], "dilation": d,
                    "seed": one["seed"]}  # fmt: skip
        go(page, f"{urlencode(settings)}&v=zeros")
        by_window = drawn(page, "output")
        go(page, f"{urlencode(settings)}&v=stamps")
        x, kernel = drawn(page, "input"), drawn(page, "kernel")
        assert x.shape == (one["high"], one["wide"])
        padding = one["padding"] if transposed else d * (k - 1) - one["padding"]
        shape = {"stride": s, "padding": padding, "dilation": d, "output_padding": more}
        for at in (x.numel() // 2, x.numel() - 1):
            page.locator(f".grid.input [data-pixel='{at}']").hover()
            expect(page.locator("#time")).to_have_value(str(at))
            so_far = torch.where(torch.arange(x.numel()).reshape(x.shape) <= at, x, 0)
            wanted = functional.conv_transpose2d(so_far[None, None], kernel[None, None], **shape)[0, 0]
            page.wait_for_function("(at) => document.querySelector('.input .chosen').dataset.pixel === at", arg=str(at))
            assert torch.equal(stamped(page), wanted), one
        assert torch.equal(by_window, wanted), one
        expect(page.locator("#agree")).to_contain_text("these are the numbers of the window")


def test_stamps_of_many_channels_go_to_their_group_and_the_keyboard_walks_them(page, studio):
    place = "layer=transposed&input=4x2x3&kernel=3&stride=2&padding=1&output_padding=1&groups=2&out_channels=4&seed=3"
    visit(page, studio, f"view=lab&{place}&v=stamps")
    page.wait_for_selector(".grid.output .stamped")
    maps, kernels, planes = {}, {}, []
    for plane in range(4):
        page.locator("#grids select").nth(1).select_option(str(plane))
        for channel in (plane // 2 * 2, plane // 2 * 2 + 1):
            page.locator("#grids select").first.select_option(str(channel))
            maps[channel], kernels[channel, plane % 2] = drawn(page, "input"), drawn(page, "kernel")
        page.locator("#time").fill("11")
        expect(page.locator("#agree")).to_contain_text("All stamps are added")
        planes.append(stamped(page))
    x = torch.stack([maps[channel] for channel in range(4)])
    weight = torch.stack([torch.stack([kernels[channel, k] for k in range(2)]) for channel in range(4)])
    wanted = functional.conv_transpose2d(x[None], weight, stride=2, padding=1, output_padding=1, groups=2)[0]
    assert torch.equal(torch.stack(planes), wanted)
    page.locator(".grid.input .chosen").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#time")).to_have_value("9")  # the second channel's row 1
    expect(page.locator(":focus")).to_have_attribute("data-pixel", "21")
    page.get_by_role("button", name="A window over inserted zeros").click()
    expect(page.locator(".grid.input .blank")).not_to_have_count(0)
    expect(page.locator(".grid.input .read")).not_to_have_count(0)


def worth(text: str) -> float:
    """What the left side of a formula comes to, by Python's own arithmetic."""
    left = re.sub(r"[a-z]+|,", "", text.partition(" = ")[0])
    left = left.replace("⌊", "math.floor(").replace("⌋", ")").replace("×", "*").replace("−", "-")
    return eval(left, {"math": __import__("math")})


@pytest.mark.parametrize(
    "place",
    [
        "layer=conv&input=3x15x11&kernel=5x3&stride=2&padding=1&dilation=2&out_channels=6&groups=3",
        "layer=transposed&input=2x5x7&kernel=3&stride=2&padding=1&out_channels=4",
        "layer=max&input=2x9x9&kernel=3&stride=2",
    ],
)
def test_formulas_are_mathml_with_the_layers_numbers_and_come_out_right(page, studio, place):
    visit(page, studio, f"view=lab&{place}")
    page.wait_for_selector("[data-fact=size] math")
    formulas = page.locator(".facts math").evaluate_all(
        "(all) => all.map((one) => [one.getAttribute('alttext'), one.textContent])"
    )
    for text, shown in formulas:
        result = re.search(r" = ([\d,]+)", text)[1].replace(",", "")
        assert worth(text) == int(result), text
        plain = [re.sub(r"[\s/()\u00a0]", "", one) for one in (text, shown)]
        assert plain[0] == plain[1]
    assert page.locator("[data-fact=size] mfrac").count() > 0
    sizes = [re.search(r" = (\d+)", text)[1] for text, _ in formulas if "row" in text or "column" in text]
    output = page.locator("[data-fact=output]").text_content().split(" × ")[1:]
    assert sizes in (output, output[:1])
