"""The pictures of docs/studio.md: ``python -m tests.studio.pictures docs/images``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.studio.studio_browser import chromium, visit, watched
from tests.studio.studio_process import running

PLACES = {
    "design": "z=resnet18&block=stage2.block1&b.params=8M",
    "lab": "view=lab&layer=conv&input=6x6&kernel=3&stride=2&padding=0&at=1",
    "field": "view=field&z=resnet18&layer.name=stage3.block1.conv1.conv&unit=5,4",
}


def main(folder: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as home,
        running(Path(home)) as studio,
        chromium() as browser,
        watched(browser, studio, size=(1180, 800)) as page,
    ):
        for name, place in PLACES.items():
            visit(page, studio, place)
            page.wait_for_selector({"design": ".operator", "lab": "#c", "field": "#seen[aria-label]"}[name])
            if name == "design":
                page.locator("[data-layer='stage2.block1.conv1.conv']").focus()
                page.wait_for_selector("#formula li")
            page.screenshot(path=folder / f"studio-{name}.png", full_page=True, animations="disabled")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
