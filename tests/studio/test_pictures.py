"""The committed pictures show the page as it is, and regions are drawn as they were; ``make pictures`` renews both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PIL import Image, ImageDraw

from tests.studio.pictures import (
    GOLDEN,
    HEAD,
    PICTURES,
    REGIONS,
    STEADY,
    WIDE,
    coarse_difference,
    noted,
    region,
    solid_difference,
    write,
)
from tests.studio.studio_browser import chromium
from tests.studio.views import VIEWS, all_views

COARSE = 0.05
"""Share of a page; one whose parts have moved, come or gone is beyond."""


@pytest.fixture(scope="module")
def opened(made) -> Iterator[tuple]:
    with chromium() as browser, all_views(browser, made.folder, size=(WIDE, 800)) as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("name", VIEWS)
def test_a_picture_of_the_documentation_shows_the_view_as_it_is(opened, tmp_path, name):
    write(*opened, name, tmp_path / "now.png")
    now, kept = Image.open(tmp_path / "now.png"), Image.open(PICTURES / f"{name}.png")
    assert noted(now)["parts"] == noted(kept)["parts"], "make pictures"
    assert now.width == kept.width
    if noted(now)["letters"] == noted(kept)["letters"]:  # with other fonts, lines break elsewhere
        steady = STEADY.get(name, HEAD)
        assert min(now.height, steady) == min(kept.height, steady), "make pictures"
        box = (0, 0, WIDE, min(now.height, steady))
        assert coarse_difference(now.crop(box), kept.crop(box)) < COARSE, "make pictures"


@pytest.mark.slow
@pytest.mark.parametrize("name", REGIONS)
def test_what_is_drawn_is_drawn_as_it_was(opened, name):
    kept = Image.open(GOLDEN / f"{name}.png").convert("RGB")
    assert solid_difference(region(*opened, name), kept) is None, "if it is meant so: make pictures"


def test_a_changed_colour_and_a_shifted_cell_differ_and_a_letter_does_not():
    kept = Image.open(GOLDEN / "matrix.png").convert("RGB")
    side, at = 22, (1 + 6 * 22, 1)  # an entry of the first row: outputs are rows, weight 3 is in column 6
    cell = (*at, at[0] + side, at[1] + side)
    colour, paper = kept.getpixel((at[0] + 3, at[1] + 3)), kept.getpixel((at[0] - 10, at[1] + 3))
    assert colour != paper
    other = kept.copy()
    ImageDraw.Draw(other).rectangle(cell, fill=(255 - colour[0], colour[1], colour[2]))
    assert solid_difference(kept, other) is not None
    moved = kept.copy()
    moved.paste(kept.crop(cell), (at[0] - side, at[1]))
    assert solid_difference(kept, moved) is not None
    written = kept.copy()
    ImageDraw.Draw(written).text((at[0] + 8, at[1] + 6), "8", fill=(0, 0, 0))
    assert written != kept
    assert solid_difference(kept, written) is None
    assert solid_difference(kept, kept.resize((kept.width + 1, kept.height))) is not None


@pytest.mark.parametrize("name", STEADY)
def test_a_page_with_a_part_gone_or_moved_is_seen_from_far(name):
    kept = Image.open(PICTURES / f"{name}.png").convert("RGB")
    kept = kept.crop((0, 0, WIDE, min(STEADY[name], kept.height)))
    assert coarse_difference(kept, kept) == 0
    moved = Image.new("RGB", kept.size, "white")
    moved.paste(kept, (0, 60))
    assert coarse_difference(kept, moved) > COARSE
    gone = kept.copy()
    gone.paste("white", (0, 200, WIDE, 500))
    assert coarse_difference(kept, gone) > COARSE
