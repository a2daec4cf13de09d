"""The page of a data set: it stands alone, shows the pictures as they are, and obeys no name."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from convsmith.report.dataset import render_dataset
from tests.report.test_browser import QUIET
from tests.report.test_html import OUTSIDE, Page

NASTY = 'cats/<script>alert("1")</script>\n图片\udc80 & x.jpg'


def picture(path, **more):
    return {"path": path, "class": "cat", "split": "train", "size": [10, 20], "remark": "", **more}


def finding(kind, groups, severity="warning", **more):
    return {
        "kind": kind, "title": f"Title of {kind}", "severity": severity, "images": len(groups),
        "summary": f"Summary of {kind}.", "action": f"Action for {kind}.", "groups": groups, **more,
    }  # fmt: skip


def dataset(findings=(), **more):
    return {
        "source": "set <b>", "images": 1234, "splits": {"train": 1000, "test": 234},
        "classes": [
            {"name": "cat", "images": 1000, "splits": {"train": 900, "test": 100}},
            {"name": "<i>dog</i>", "images": 234, "splits": {"train": 100, "test": 134}},
        ],
        "balance": {"ratio": 4.27, "majority": 0.81, "effective_classes": 1.6},
        "files": {
            "bytes": 2**20, "formats": {"JPEG": 1234}, "modes": {"RGB": 1234},
            "height": {"min": 5, "median": 10.0, "max": 90}, "width": {"min": 5, "median": 20.0, "max": 90},
            "distinct_sizes": 30,
            "sizes": [{"height": 10 + n, "width": 20, "images": 40 - n} for n in range(30)],
        },
        "frame": {"side": 32, "channels": 3, "fit": "squash"},
        "labels_told": "As sure as can be.",
        "findings": list(findings),
        **more,
    }  # fmt: skip


def pixels(path):
    """Each path has a picture of its own."""
    return np.random.default_rng(len(path)).integers(0, 256, (32, 32, 3), dtype=np.uint8)


FINDINGS = (
    finding("leak", [[picture("a.png"), picture("bb.png", remark="same pixels", split="test")]], "error"),
    finding("rejected", [[picture(NASTY, **{"class": None, "split": None, "size": None, "remark": "empty file"})]]),
    finding("blank", [[picture(NASTY)], [picture("grey.png", size=None)]]),
    finding("imbalance", [], "note"),
)


def given(path):
    return None if path == NASTY else pixels(path)


@pytest.fixture(scope="module")
def source():
    return render_dataset(dataset(FINDINGS), given)


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def test_nothing_is_loaded_from_outside_and_no_script_runs(page, source):
    for tag, attrs in page.tags:
        for name, value in attrs.items():
            assert not name.startswith("on")
            if name in OUTSIDE:
                assert value.startswith("data:image/png;base64," if tag == "img" else "#")
    assert page.scripts == []
    policy = next(attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert "url(" not in source[: source.index("</style>")]
    assert "@import" not in source[: source.index("</style>")]


def test_it_begins_with_what_to_do_and_every_link_has_its_place(page):
    start = page.text[: page.text.index("Summary of leak")]
    for one in FINDINGS:
        assert f"{one['title']} : {one['action']}" in start
    assert "1,234" in start
    places = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert len(links) == len(set(links))
    assert {link.removeprefix("#") for link in links} == places


def test_pictures_are_the_pixels_in_the_shape_of_the_file(page):
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert [attrs["alt"] for attrs in images] == ["cat: a.png", "cat: bb.png", "cat: grey.png"]
    for attrs, path in zip(images, ("a.png", "bb.png", "grey.png"), strict=True):
        content = base64.b64decode(attrs["src"].removeprefix("data:image/png;base64,"))
        with Image.open(io.BytesIO(content)) as image:
            assert np.array_equal(np.asarray(image), pixels(path))
    assert [(attrs["width"], attrs["height"]) for attrs in images] == [("96", "48"), ("96", "48"), ("96", "96")]


def test_letterboxed_pictures_are_shown_as_squares():
    data = dataset(FINDINGS, frame={"side": 32, "channels": 3, "fit": "letterbox"})
    images = [attrs for tag, attrs in Page(render_dataset(data, given)).tags if tag == "img"]
    assert {(attrs["width"], attrs["height"]) for attrs in images} == {("96", "96")}


def test_grey_pictures_are_shown_too():
    found = render_dataset(dataset(FINDINGS), lambda _: np.arange(64, dtype=np.uint8).reshape(8, 8, 1))
    attrs = next(attrs for tag, attrs in Page(found).tags if tag == "img")
    with Image.open(io.BytesIO(base64.b64decode(attrs["src"].partition(",")[2]))) as image:
        assert (image.mode, image.getpixel((1, 1))) == ("L", 9)


def test_hostile_names_are_shown_and_not_obeyed(page):
    visible = r'cats/<script>alert("1")</script>\n图片\udc80 & x.jpg'
    assert page.text.count("empty file") == 1
    assert f"{visible} empty file" in page.text
    assert "<i>dog</i>" in page.text
    assert "set <b>" in page.text


@pytest.mark.slow
def test_thousands_of_findings_do_not_drown_the_page():
    groups = [[picture(f"{group}/{member}.png") for member in range(50)] for group in range(2000)]
    unread = [[picture(f"x{number}", remark="empty file")] for number in range(5000)]
    found = render_dataset(
        dataset([finding("near", groups), finding("rejected", unread)]),
        lambda path: None if path[0] == "x" else pixels(""),
    )
    page = Page(found)
    assert sum(tag == "img" for tag, _ in page.tags) == 36 * 6
    assert "and 44 more" in page.text
    assert "1,964 more are listed by --json" in page.text
    assert "4,800 more are listed by --json" in page.text
    assert len(found.encode()) < 3_000_000


def test_a_set_of_which_nothing_could_be_read_has_a_page():
    files = {
        "bytes": 0, "formats": {}, "modes": {}, "height": None, "width": None, "distinct_sizes": 0, "sizes": [],
    }  # fmt: skip
    empty = dataset(
        [finding("unusable", [], "error")], images=0, splits={}, files=files, frame=None,
        classes=[{"name": "a", "images": 0, "splits": {}}],
    )  # fmt: skip
    assert "Action for unusable." in Page(render_dataset(empty, lambda _: None)).text


def test_a_clean_set_is_said_to_be_clean():
    assert "Nothing to repair was found." in Page(render_dataset(dataset(), pixels)).text


def test_the_same_data_give_the_same_page(source):
    assert render_dataset(dataset(FINDINGS), given) == source


@pytest.mark.slow
def test_chromium_shows_the_page_without_a_complaint(source, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser, "this test needs chromium: install Debian's package chromium"
    path = tmp_path / "page.html"
    path.write_text(source, encoding="utf-8")
    command = [browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    assert done.stdout.count("<img") == 3
