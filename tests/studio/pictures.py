"""The pictures of docs/studio.md and the golden regions of the page: ``make pictures`` renews both.

``python -m tests.studio.pictures [RUNS]``: RUNS holds finished runs ``fit``, ``train`` and ``curves``; without it they
are made, which takes some minutes. The tests take the pictures anew and hold them against the committed ones.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageFilter, PngImagePlugin
from playwright.sync_api import Page

from convsmith.design import parse_design
from convsmith.jobs.curves import curves
from convsmith.jobs.fit import fit
from convsmith.jobs.train import train
from convsmith.studio.app import read_static
from convsmith.studio.first_run import DESIGN
from tests.studio.studio_browser import chromium
from tests.studio.studio_process import Studio
from tests.studio.views import VIEWS, all_views, open_view

ROOT = Path(__file__).parents[2]
PICTURES, GOLDEN = ROOT / "docs" / "studio", Path(__file__).parent / "golden"

WIDE, HIGH = 1180, 1500
"""Pixels of a picture, at most; the page goes on below."""
STEADY = {"design": HIGH, "lab": HIGH, "field": HIGH, "compare": HIGH, "scale": 820}
"""Pixels from the top that do not depend on a run."""
HEAD = 120
"""The same of every other view: its tabs and choices."""
REGIONS = {"matrix": ("lab", "#c"), "field": ("field", "#seen"), "map": ("scale", "#scale-map .ternary")}
"""Regions that are drawn alike on every machine: a view, and what is looked at in it."""

_NOTE = "shows"
_PARTS = "h1, h2, figcaption, caption, legend, summary, thead th, nav button, label > span"


def main(runs: Path | None = None) -> None:
    """Renew the committed pictures."""
    with tempfile.TemporaryDirectory() as home:
        if runs is None:
            runs = Path(home)
            fit("digits", macs=200_000, minutes=2.0, out=runs / "fit")
            train(parse_design(DESIGN), "digits", out=runs / "train", epochs=12)
            curves(parse_design(DESIGN), "digits", out=runs / "curves", resolution=0.625, epochs=3, seeds=2)
        with chromium() as browser, all_views(browser, runs, size=(WIDE, 800)) as (page, studio):
            for name in VIEWS:
                write(page, studio, name, PICTURES / f"{name}.png")
            for name in REGIONS:
                region(page, studio, name).save(GOLDEN / f"{name}.png", optimize=True)


def write(page: Page, studio: Studio, name: str, path: Path) -> None:
    """Take a view's picture, with the words of its parts noted in the file."""
    open_view(page, studio, name)
    high = min(page.evaluate("document.documentElement.scrollHeight"), HIGH)
    clip = {"x": 0, "y": 0, "width": WIDE, "height": high}
    taken = page.screenshot(full_page=True, animations="disabled", clip=clip)
    note = PngImagePlugin.PngInfo()
    note.add_text(_NOTE, json.dumps({"parts": parts_of(page), "letters": letters_of(page)}))
    Image.open(io.BytesIO(taken)).convert("RGB").save(path, pnginfo=note, optimize=True)


def parts_of(page: Page) -> list[str]:
    """Which words of the page head its parts: what a picture of another run must have, too."""
    known = {text: key for key, text in json.loads(read_static("en.json")).items()}
    texts = page.evaluate("(parts) => [...document.querySelectorAll(parts)].map((one) => one.textContent)", _PARTS)
    return sorted({known[text] for text in texts if text in known})


def letters_of(page: Page) -> float:
    """How wide a line of letters is: whether another machine has the same fonts."""
    return page.evaluate("""() => { const pen = new OffscreenCanvas(1, 1).getContext("2d");
        pen.font = getComputedStyle(document.body).font;
        return pen.measureText("The quick brown fox jumps over 0123456789 × lazy dogs").width; }""")


def noted(picture: Image.Image) -> dict[str, Any]:
    """The ``parts`` and the ``letters`` of the page, as noted in a picture's file."""
    return json.loads(picture.info[_NOTE])


def region(page: Page, studio: Studio, name: str) -> Image.Image:
    """A golden region as it is drawn now."""
    view, what = REGIONS[name]
    open_view(page, studio, view)
    taken = page.locator(what).screenshot(animations="disabled")
    return Image.open(io.BytesIO(taken)).convert("RGB")


def coarse_difference(one: Image.Image, other: Image.Image, levels: int = 12) -> float:
    """The share of tiles of 20 pixels that differ in their mean grey: what is seen from afar, where letters blur."""
    size = (max(one.width // 20, 1), max(one.height // 20, 1))
    far = [picture.convert("L").resize(size, Image.Resampling.BOX) for picture in (one, other)]
    found = ImageChops.difference(*far).tobytes()
    return sum(level > levels for level in found) / len(found)


def solid_difference(one: Image.Image, other: Image.Image, levels: int = 30, side: int = 5) -> tuple[int, ...] | None:
    """Where two pictures differ in a whole square of ``side`` pixels, as a box; None if nowhere.

    Letters and thin lines are drawn a little differently with other fonts, areas are not.
    """
    if one.size != other.size:
        return (0, 0, *one.size)
    red, green, blue = ImageChops.difference(one, other).split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return most.point(lambda level: 255 * (level > levels)).filter(ImageFilter.MinFilter(side)).getbbox()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
