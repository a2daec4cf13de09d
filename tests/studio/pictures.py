"""The pictures of docs/studio.md: ``python -m tests.studio.pictures docs/images [RUNS]``.

RUNS holds a finished search ``fit`` and a training ``train``; without it, small ones that have learnt little are made.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.studio.run_folders import make_runs
from tests.studio.studio_browser import chromium, visit, watched
from tests.studio.studio_process import running

PLACES = {
    "design": "z=resnet18&block=stage2.block1&b.params=8M",
    "lab": "view=lab&layer=conv&input=6x6&kernel=3&stride=2&padding=0&at=1",
    "field": "view=field&z=resnet18&layer.name=stage3.block1.conv1.conv&unit=5,4",
    "scale": "view=scale&z=resnet18&s.depth=1.2&s.width=1.1&s.resolution=1.15&run=0",
    "compare": "view=compare&c.first=zresnet18&c.second=zmobilenet-v2",
    "runs": "view=runs&run=0",
    "try": "view=try&run=1",
    "features": "view=seen&run=1",
}
SIGNS = {
    "design": ".operator", "lab": "#c", "field": "#seen[aria-label]", "scale": "[data-chart=candidates] svg",
    "compare": "#same", "runs": "#confusion", "try": "#saliency table", "features": "#features table",
}  # fmt: skip
HIGH = 1500
"""Pixels of a picture at most; the page goes on below."""


def main(folder: Path, runs: Path | None = None) -> None:
    with (
        tempfile.TemporaryDirectory() as home,
        running(runs or make_runs(Path(home)).folder, "fit", "train") as studio,
        chromium() as browser,
        watched(browser, studio, size=(1180, 800)) as page,
    ):
        studio.post("/api/evidence", b'{"run": 0}')  # torch is loaded now
        for name, place in PLACES.items():
            visit(page, studio, place)
            page.wait_for_selector(SIGNS[name])
            if name == "design":
                page.locator("[data-layer='stage2.block1.conv1.conv']").focus()
                page.wait_for_selector("#formula li")
            page.wait_for_timeout(1000)  # pictures in the page, and charts that follow its width
            high = min(page.evaluate("document.documentElement.scrollHeight"), HIGH)
            clip = {"x": 0, "y": 0, "width": 1180, "height": high}
            page.screenshot(path=folder / f"studio-{name}.png", full_page=True, animations="disabled", clip=clip)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
