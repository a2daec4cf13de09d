"""``report.html``: one file that opens anywhere, without a network, and begins with the answer.

Its policy allows exactly the scripts written here, by their hashes, and nothing from outside.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

from plotly.offline import get_plotlyjs

from convsmith.report import sections
from convsmith.report.charts import Figure, confusion_figure, map_figure, rung_figure
from convsmith.report.markup import Markup, element, join
from convsmith.report.view import Report, confusion, mistakes, rungs

_MOST_CLASSES: Final = 40
_TOLD_MISTAKES: Final = 3


def render_html(report: Report) -> str:
    """The page of a report (the content of ``report.json``), as one self-contained document."""
    scripts = (get_plotlyjs(), _read("page.js"))
    content = list(_content(report))
    parts = (
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"{report['name']}: convsmith report"),
        element("style", Markup(_read("page.css"))),
    )
    links = (element("a", heading, href=f"#{name}") for name, heading, _ in content)
    body = (
        element("header", sections.answer(report), element("nav", *links, aria_label="sections")),
        element("main", *(_section(*one) for one in content)),
        *(element("script", Markup(script)) for script in scripts),
    )
    head = element("head", *parts)
    return f'<!doctype html>\n<html lang="en">{head}\n{element("body", *body)}</html>\n'


def _content(report: Report) -> Iterator[tuple[str, str, Markup]]:
    """Name, heading and content of each section."""
    if report["candidates"] and report["chosen"].get("shares"):
        told = element("p", _MAP)
        yield "map", "Where the budget went", join((told, _chart("map", map_figure(report), "map of budget shares"),
                                                    sections.candidates_table(report)))  # fmt: skip
    if report["candidates"] or report["rules"]:
        told = element("p", _STANDINGS)
        yield "standings", "Finalists and rules", join((told, sections.standings_table(report)))
    if rungs(report):
        told = element("p", _RUNGS)
        yield "rungs", "Rung by rung", join((told, _chart("rungs", rung_figure(report), "accuracy by rung")))
    yield "confusion", "What it mistakes", _confusion(report)
    yield "network", "The network", sections.network(report)
    yield "rejected", "Files that could not be read", sections.rejected(report)
    yield "making", "How it was made", sections.making(report)
    yield "recompute", "Recompute every figure", sections.recompute(report)


_MAP: Final = (
    "Every mark is a network that costs about the same. Its place says how that budget was split between depth, width "
    "and resolution, relative to the base network that the rules scale; outside the triangle one of the three shrank. "
    "Colour compares all of them after the same first training, size says how far they came, diamonds are named rules."
)
_STANDINGS: Final = (
    "Test accuracies come from images that played no part in the search. Accuracies judged on select images come from "
    "shorter trainings and cannot be compared with them. The last column is the probability that the chosen network is "
    "really the better one, given the chance in seeds and in the choice of test images."
)
_RUNGS: Final = (
    "Each line is a network, coloured by the axis that got most of its budget. Short trainings favour wide networks, "
    "which is why the best of each colour goes on. The table of all networks above holds the numbers."
)


def _confusion(report: Report) -> Markup:
    shown = confusion(report, _MOST_CLASSES)
    cut = f"Shown are the {len(shown.classes)} most often mistaken of {shown.total} classes. "
    told = (cut if len(shown.classes) < shown.total else "") + (
        "Counts of test images: the row is the true class, the column the answer, colour the share of the true class."
    )
    return join(
        (
            sections.mistakes_list(mistakes(report, _TOLD_MISTAKES)),
            element("p", told, class_="soft"),
            _chart("confusion", confusion_figure(shown), "confusion matrix"),
            sections.confusion_table(shown),
        )
    )


def _section(name: str, heading: str, content: Markup) -> Markup:
    return element("section", element("h2", heading), content, id=name)


def _chart(name: str, figure: Figure, label: str) -> Markup:
    """The place of a chart and its data; the script draws it."""
    data = json.dumps(figure, allow_nan=False).replace("<", "\\u003c")
    height = figure["layout"]["height"]
    drawn = element(
        "div", class_="chart", id=f"chart-{name}", role="img", aria_label=label, style=f"height: {height}px"
    )
    values = element("script", Markup(data), type="application/json", id=f"chart-{name}-data")
    return join((element("div", drawn, class_="scroll", tabindex=0, role="region", aria_label=label), values))


def _policy(scripts: tuple[str, ...]) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    )
    # plotly writes style elements and hands pictures over as data.
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"


def _read(name: str) -> str:
    return files("convsmith.report").joinpath(name).read_text(encoding="utf-8")
