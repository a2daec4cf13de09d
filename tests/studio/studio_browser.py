"""Debian's chromium, with a watch on every page: no request leaves the machine, and nothing is complained about."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect, sync_playwright

DESKTOP, PHONE = (1280, 900), (390, 844)
READY = "html[data-ready]"


@contextmanager
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "this test needs chromium: install Debian's package chromium"
    expect.set_options(timeout=20_000)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-quic"])
        yield browser
        browser.close()


@contextmanager
def watched(browser: Browser, studio, *, size=DESKTOP, scheme="light") -> Iterator[Page]:
    """A page of a new visitor who has come in by the printed address; afterwards nothing may have gone wrong."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, locale="en-US", reduced_motion="reduce"
    )
    wrong: list[str] = []
    page = context.new_page()
    page.set_default_timeout(20_000)

    def check(route):
        if urlsplit(route.request.url).netloc == f"127.0.0.1:{studio.port}":
            route.continue_()
        else:
            wrong.append(f"a request to {route.request.url}")
            route.abort()

    context.route("**/*", check)
    page.on("console", lambda one: wrong.append(f"console: {one.text}") if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.goto(studio.url)
    page.wait_for_selector(READY)
    page.complaints = wrong
    yield page
    context.close()
    assert not wrong, wrong[:3]


def visit(page: Page, studio, place: str) -> None:
    """Open the page anew at a place."""
    page.goto("about:blank")
    page.goto(f"{studio.base}#{place}")
    page.wait_for_selector(READY)


def unnamed(page: Page) -> list[str]:
    """Controls and pictures of the page that have no name for a screen reader."""
    return page.evaluate("""() => [...document.querySelectorAll(
        "button, select, input, textarea, canvas, img, [role=button], [role=img], [tabindex='0']")].filter((one) =>
        !(one.getAttribute("aria-label") || one.alt || one.labels?.length || one.textContent.trim() || one.ariaHidden))
        .map((one) => one.outerHTML.slice(0, 120))""")
