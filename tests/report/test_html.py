"""The page holds every figure, opens without a network, and shows hostile names instead of obeying them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from convsmith.quantities import format_count, format_percent
from convsmith.report.html import render_html
from convsmith.report.view import early_accuracy, reached, rung_lengths
from tests.report.sample import NASTY_CLASSES, fit_report, train_report

OUTSIDE = ("src", "href", "action", "data", "poster", "srcset")


class Page(HTMLParser):
    """What a browser would see: tags with attributes, text, and the content of scripts apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.words: list[str] = []
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open == "script":
            attributes, text = self.scripts.pop()
            self.scripts.append((attributes, text + data))
        elif self._open != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def data(self, chart: str):
        return next(json.loads(text) for attrs, text in self.scripts if attrs.get("id") == f"chart-{chart}-data")


@pytest.fixture(scope="module")
def report():
    return fit_report()


@pytest.fixture(scope="module")
def source(report):
    return render_html(report)


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def test_it_begins_with_the_answer_and_the_key_figures(page, report):
    start = page.text[: page.text.index("Where the budget went")]
    assert report["sentence"] in start
    assert "89.7 % to 92.9 %" in start  # of the network in the folder
    assert "trained 6.2 times as long as in the finals" in start
    assert format_count(report["chosen"]["macs"]) in start
    assert "of 10.00M" in start
    assert "1.23 ms" in start


def test_without_a_long_training_the_answer_is_that_of_the_finals(report):
    first = {**report, "delivered": {**report["delivered"], "of_finals": 1.0}}
    older = {key: value for key, value in report.items() if key != "delivered"}
    low, high = report["accuracy"]["ci95"]
    for one in (first, older):
        text = Page(render_html(one)).text
        start = text[: text.index("Where the budget went")]
        assert f"{format_percent(low)} to {format_percent(high)}" in start
        assert "3 trainings" in start


def test_nothing_is_loaded_from_outside_and_only_our_scripts_may_run(page, source):
    links = [value for _, attrs in page.tags for name, value in attrs.items() if name in OUTSIDE]
    assert links
    assert all(value and value.startswith("#") for value in links)
    assert "@import" not in source[: source.index("</style>")]
    assert "url(" not in source[: source.index("</style>")]
    policy = next(attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs)
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    allowed = set(re.findall(r"'(sha256-[^']+)'", policy))
    ours = [text for attrs, text in page.scripts if "type" not in attrs]
    hashes = {f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}" for text in ours}
    assert hashes == allowed
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)


def test_it_is_small_enough_to_send(source):
    assert len(source.encode()) < 6_000_000


def test_hostile_names_are_shown_and_not_obeyed(page):
    assert len(page.scripts) == 2 + 3  # plotly, ours, and three charts' data
    for name in NASTY_CLASSES:
        assert name in page.text
    assert r"""cats/<script>alert('1')</script>\n图片\udc80 & "x".jpg""" in page.text
    ticks = page.data("confusion")["layout"]["xaxis"]["ticktext"]
    assert ticks[0].startswith("&lt;script&gt;")
    assert "<b>" not in page.data("rungs")["layout"]["xaxis"]["ticktext"]


@pytest.mark.parametrize("chart", ["map", "rungs", "confusion"])
def test_no_name_can_end_the_data_of_a_chart(chart, source):
    start = source.index(f'id="chart-{chart}-data"')
    data = source[source.index(">", start) + 1 : source.index("</script>", start)]
    assert json.loads(data)["data"]
    assert "<" not in data


def test_one_rung_has_no_lines_to_show(report):
    once = [{**one, "rungs": one["rungs"][:1]} for one in report["candidates"]]
    page = Page(render_html({**report, "candidates": once}))
    assert "Rung by rung" not in page.text
    assert all(one["key"] in page.text for one in once)


def test_every_rule_and_candidate_is_in_a_table_with_its_numbers(page, report):
    for name, rule in report["rules"].items():
        assert name.replace("_", " ") in page.text
        assert rule["failure"] in page.text
    for one in report["candidates"]:
        assert one["key"] in page.text
        assert format_count(one["params"]) in page.text
    assert "93.1 %" in page.text


def test_the_map_holds_every_network_inside_its_ranges_even_outside_the_triangle(page, report):
    figure = page.data("map")
    (left, right), (bottom, top) = figure["layout"]["xaxis"]["range"], figure["layout"]["yaxis"]["range"]
    hovers = [text for trace in figure["data"] for text in trace.get("hovertext", [])]
    assert len(hovers) == len(report["candidates"])
    for one in report["candidates"]:
        assert sum(one["key"] in text for text in hovers) == 1
    points = [
        point for trace in figure["data"] for point in zip(trace["x"], trace["y"], strict=True) if point[0] is not None
    ]
    assert all(left <= x <= right and bottom <= y <= top for x, y in points)
    assert any(y < -0.1 for _, y in points)  # tinynet has a negative share of depth
    labels = {text for trace in figure["data"] if trace.get("mode") == "text" for text in trace["text"]}
    assert {"width only, regnet", "tinynet", "<b>chosen</b>"} <= labels


def test_the_largest_confusion_is_told_in_words(page):
    assert "猫 (猫科动物) taken for dog : 41 of " in page.text


def test_many_classes_are_cut_to_the_ones_that_are_mistaken():
    report = fit_report(classes=[f"class {number:03}" for number in range(300)], draws=2)
    report["confusion"]["matrix"] = [[50 * (row == column) for column in range(300)] for row in range(300)]
    report["confusion"]["matrix"][250][7] = 3
    text = render_html(report)
    page = Page(text)
    assert len(page.data("confusion")["data"][0]["z"]) == 40
    assert "class 250 taken for class 007 : 3 of 53 images" in page.text
    assert "40 most often mistaken of 300 classes" in page.text
    assert len(text.encode()) < 6_000_000


def test_a_thousand_unreadable_files_do_not_drown_the_page():
    report = fit_report() | {"rejected": [{"path": f"{n}.jpg", "reason": "empty"} for n in range(1_000)]}
    page = Page(render_html(report))
    assert "199.jpg" in page.text
    assert "200.jpg" not in page.text
    assert "800 more are listed in report.json" in page.text


def test_a_single_training_has_a_page_without_a_search():
    page = Page(render_html(train_report()))
    assert "Where the budget went" not in page.text
    assert "None" not in page.text.replace("None.", "")
    assert page.data("confusion")


@pytest.mark.slow
def test_a_design_that_this_version_does_not_know_is_still_shown():
    report = fit_report()
    report["chosen"]["design"] = 'name = "from the future"\n[stem]\nblock = "unheard of"\n'
    assert "unheard of" in Page(render_html(report)).text


def test_the_same_report_gives_the_same_page(source):
    assert render_html(fit_report()) == source


def test_a_training_shows_how_it_learnt_and_where_its_rate_came_from():
    report = train_report()
    page = Page(render_html(report))
    loss, right = page.data("learning")["data"]
    assert (loss["x"], loss["y"]) == tuple([point[key] for point in report["history"]] for key in ("images", "loss"))
    judged = {point["images"]: point["accuracy"] for point in report["history"]}
    assert len(right["y"]) == len(set(right["y"])) == 10  # as often as it was judged, not as the loss was noted
    assert all(judged[x] == y for x, y in zip(right["x"], right["y"], strict=True))
    rates = page.data("rates")
    assert rates["data"][0]["x"] == report["rate_test"]["rates"]
    assert rates["layout"]["shapes"][0]["x0"] == report["rate_test"]["rate"]
    assert "was put: 0.0175." in page.text


def test_a_report_without_a_curve_has_no_such_section(page):
    assert "How it learnt" not in page.text


def test_a_network_that_entered_in_a_later_rung_is_not_compared_with_the_first(report):
    """Its first training was longer, so its accuracy was shown as that of the first rung, and it looked the best."""
    candidates = [dict(one) for one in report["candidates"]]
    late = next(one for one in candidates if len(one["rungs"]) == 2)
    late["rungs"] = late["rungs"][1:]
    changed = {**report, "candidates": candidates}
    lengths = rung_lengths(changed)
    assert early_accuracy(late, lengths) is None
    assert reached(late, lengths) == ("finals" if late["final"] else "rung 2")
    row = next(row for row in candidates_rows(Page(render_html(changed))) if late["key"] in row)
    accuracy = format_percent(late["rungs"][0]["accuracy"])
    assert f"– {accuracy}" in row
    traces = Page(render_html(changed)).data("map")["data"]
    shown = next(trace for trace in traces if any(late["key"] in text for text in trace.get("hovertext", [])))
    assert shown["marker"]["color"] == "var(--paper)"


def candidates_rows(page: Page) -> list[str]:
    """The rows of the table of all networks, as text."""
    start = page.text.index("networks as a table")
    keys = [one["key"] for one in fit_report()["candidates"]]
    text = page.text[start:]
    ends = sorted(text.index(key) for key in keys if key in text)
    return [text[a:b] for a, b in zip(ends, [*ends[1:], len(text)], strict=True)]
