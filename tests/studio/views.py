"""Every view of the page: a place that opens it, and what is there once all of it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.studio.studio_browser import visit, watched
from tests.studio.studio_process import Studio, running

RUNS = ("fit", "train", "curves")
"""Folders of finished runs, in the order in which the places below number them."""

VIEWS = {
    "design": ("z=resnet18&block=stage2.block1&b.params=8M", ".operator"),
    "lab": ("z=resnet18&view=lab&layer=conv&input=6x6&kernel=3&stride=2&padding=0&at=1", "#c"),
    "field": ("view=field&z=resnet18&layer.name=stage3.block1.conv1.conv&unit=5,4", "#seen[aria-label]", ".map image"),
    "scale": (
        "view=scale&z=resnet18&s.depth=1.2&s.width=1.1&s.resolution=1.15&run=0",
        "[data-chart=candidates] svg",
        "#scale-map svg",
        "#rules tr",
        "[data-chart=iso] svg",
    ),
    "compare": ("view=compare&c.first=zresnet18&c.second=zmobilenet-v2", "#same", "#strips .strip"),
    "runs": ("view=runs&run=0", "#confusion", ".ternary .dot", "[data-chart=rungs] svg"),
    "curves": ("view=runs&run=2", "[data-chart=saturation] svg"),
    "try": ("view=try&run=1", "#saliency table"),
    "features": ("view=seen&run=1", "#features table"),
}


def open_view(page: Page, studio: Studio, name: str) -> None:
    """Go to a view and wait until it is drawn, charts that follow its width and pictures in it included."""
    place, *signs = VIEWS[name]
    visit(page, studio, place)
    for sign in signs:
        page.wait_for_selector(sign)
    if name in ("try", "features"):
        page.locator("#own").click()  # an image of the kind that the network knows
        page.wait_for_selector("[data-picture]:not([data-picture=sample])")
    if name == "design":
        page.locator("[data-layer='stage2.block1.conv1.conv']").focus()
        page.wait_for_selector("#formula li")
    page.evaluate("() => Promise.all([...document.querySelectorAll('img, svg image')].map((one) => one.decode()))")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@contextmanager
def all_views(
    browser: Browser, runs: Path, *, scheme: str = "light", size=(1180, 800)
) -> Iterator[tuple[Page, Studio]]:
    """A page of a studio that has the three runs open."""
    with running(runs, *RUNS) as studio, watched(browser, studio, size=size, scheme=scheme) as page:
        studio.post("/api/evidence", b'{"run": 0}')  # torch is loaded now, which takes long where much else runs
        yield page, studio
