"""How soon the studio's page answers, in Debian's chromium: first paint, sliders, a run's event, large inputs, weight.

PYTHONPATH=. python benchmarks/studio.py

Figures of a user's wait: from the change of a control to the frame that shows the new number. Long tasks are the
browser's own record of work that held up everything else for more than 50 ms.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import harness

from convsmith.studio.app import read_static, static_names
from tests.studio.conftest import DEEP
from tests.studio.run_folders import large_study, make_runs, started, working_on
from tests.studio.studio_browser import chromium, visit, watched
from tests.studio.studio_process import running

REPEATS = 11
NETWORK = "resnet152"
GOALS = {
    "first_paint": 1.0,
    "slider_to_cost": 0.1,
    "lab_slider": 0.05,
    "event_to_page": 1.0,
    "longest_task": 0.2,
    "page_bytes": 400_000,
}
"""In seconds and bytes."""

_LONG = """() => { window.long = []; new PerformanceObserver((list) => {
    for (const one of list.getEntries()) window.long.push(one.duration);
}).observe({type: "longtask", buffered: true}); }"""
_WAIT = """([id, value, sign]) => new Promise((done) => {
    const box = document.querySelector(sign), before = box.textContent, one = document.getElementById(id);
    const begun = performance.now();
    const look = () => document.querySelector(sign)?.textContent !== before
        ? requestAnimationFrame(() => done(performance.now() - begun)) : requestAnimationFrame(look);
    one.value = value;
    one.dispatchEvent(new Event("input", {bubbles: true}));
    look();
})"""


def waits(page, control: str, values: list[object], sign: str) -> list[float]:
    """Seconds from each change of a control until the text at ``sign`` is another and has been painted."""
    return [page.evaluate(_WAIT, [control, value, sign]) / 1000 for value in values]


def first_paint(page, studio) -> float:
    """Seconds from the start of the navigation to the first content."""
    visit(page, studio, f"z={NETWORK}")
    page.wait_for_selector(".strip .block")
    return page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000


def event(page, process, line: bytes) -> float:
    """Seconds from an event in the log of a run to its point on the page."""
    rows = page.locator("[data-chart=loss] tbody tr").count()
    begun = time.perf_counter()
    process.stdin.write(line)
    page.wait_for_function("(rows) => document.querySelectorAll('[data-chart=loss] tbody tr').length > rows", arg=rows)
    return time.perf_counter() - begun


def large(page, studio, run: int) -> dict[str, float]:
    """The longest tasks in seconds: a study of ten thousand networks in two views, a thousand layers in three steps."""
    found: dict[str, float] = {}
    studio.post("/api/evidence", b'{"run": 1}')  # torch is loaded now

    def longest(name: str, place: str, sign: str) -> None:
        visit(page, studio, place)
        page.evaluate(_LONG)
        page.wait_for_selector(sign, timeout=120_000)
        page.wait_for_timeout(2000)
        found[name] = max(page.evaluate("window.long"), default=0) / 1000

    longest("study_in_runs", f"view=runs&run={run}", "#confusion")
    longest("study_in_scale", f"view=scale&z=resnet18&run={run}", "[data-chart=candidates] canvas")
    longest("deep_in_field", "view=field&o=0", "#seen[aria-label]")
    longest("deep_in_design", "view=design&o=0", ".strip .block")
    page.locator("[data-block='stage2.block7']").click()
    page.locator("#edit-width").fill("40")
    page.wait_for_timeout(3000)
    found["deep_edited"] = max(page.evaluate("window.long"), default=0) / 1000
    return found


def main() -> None:
    found: dict[str, object] = {"goals": GOALS, "page_bytes": sum(len(read_static(name)) for name in static_names())}
    with (
        tempfile.TemporaryDirectory() as home,
        running(Path(home), f"zoo:{NETWORK}") as studio,
        chromium() as browser,
        watched(browser, studio) as page,
    ):
        found["first_paint"] = harness.summary([first_paint(page, studio) for _ in range(REPEATS)])
        page.evaluate(_LONG)
        page.locator("[data-block='stage3.block2']").click()
        widths = [256 + 8 * number for number in range(1, REPEATS + 1)]
        found["slider_to_cost"] = harness.summary(waits(page, "edit-width", widths, "[data-metric=macs] b"))
        visit(page, studio, "view=lab&layer=conv&input=9x9&kernel=3&stride=1")
        page.wait_for_selector("#c")
        page.evaluate(_LONG)
        found["lab_slider"] = harness.summary(waits(page, "time", list(range(1, REPEATS + 1)), "#products"))
        found["longest_task"] = max(page.evaluate("window.long"), default=0) / 1000
    with tempfile.TemporaryDirectory() as home:
        made = make_runs(Path(home))
        lines = (made.train / "events.ndjson").read_bytes().splitlines(True)
        points = [number for number, line in enumerate(lines) if json.loads(line)["event"] == "point"][:REPEATS]
        folder = started(made.train, Path(home) / "live", points[1])
        with (
            working_on(folder) as process,
            running(Path(home), "live") as studio,
            chromium() as browser,
            watched(browser, studio) as page,
        ):
            visit(page, studio, "view=runs")
            page.wait_for_selector("[data-chart=loss]")
            found["event_to_page"] = harness.summary([event(page, process, lines[number]) for number in points[1:]])
        large_study(made.fit, Path(home) / "large", 10_000)
        (Path(home) / "deep.toml").write_text(DEEP, encoding="utf-8")
        with (
            running(Path(home), "deep.toml", "large") as studio,
            chromium() as browser,
            watched(browser, studio) as page,
        ):
            found["longest_task_of_large"] = large(page, studio, 1)
    harness.write("studio", found)


if __name__ == "__main__":
    main()
