"""``report.html``: one file that opens anywhere, without a network, and begins with the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from convsmith.report import sections
from convsmith.report.charts import confusion_figure, map_figure, rung_figure
from convsmith.report.markup import Markup, element, join
from convsmith.report.page import Part, chart, render_page
from convsmith.report.training_charts import learning_figure, rate_figure
from convsmith.report.view import Report, confusion, mistakes, rung_lengths

_MOST_CLASSES: Final = 40
_TOLD_MISTAKES: Final = 3


def render_html(report: Report) -> str:
    """The page of a report (the content of ``report.json``), as one self-contained document."""
    header = sections.under_way(report) if report.get("unfinished") else sections.answer(report)
    return render_page(f"{report['name']}: convsmith report", header, list(_content(report)))


def _content(report: Report) -> Iterator[Part]:
    """Name, heading and content of each section."""
    if report["candidates"] and report["chosen"].get("shares"):
        told = element("p", _MAP)
        yield "map", "Where the budget went", join((told, chart("map", map_figure(report), "map of budget shares"),
                                                    sections.candidates_table(report)))  # fmt: skip
    elif report["candidates"]:
        yield "networks", "The networks", sections.candidates_table(report)
    if report.get("accuracy") and (report["candidates"] or report["rules"]):
        told = element("p", _STANDINGS)
        yield "standings", "Finalists and rules", join((told, sections.standings_table(report)))
    if len(rung_lengths(report)) > 1:  # of one, the map shows as much
        told = element("p", _RUNGS)
        yield "rungs", "Rung by rung", join((told, chart("rungs", rung_figure(report), "accuracy by rung")))
    if report.get("history"):
        yield "learning", "How it learnt", _learning(report)
    if report.get("confusion"):
        yield "confusion", "What it mistakes", _confusion(report)
    if report["chosen"].get("design"):
        yield "network", "The network", sections.network(report)
    yield "rejected", "Files that could not be read", sections.rejected(report)
    yield "making", "How it was made", sections.making(report)
    yield "recompute", "Recompute every figure", sections.recompute(report)


_MAP: Final = (
    "Every mark is a network that costs about the same. Its place says how that budget was split between depth, width "
    "and resolution, relative to the base network that the rules scale; outside the triangle one of the three shrank. "
    "Colour compares them after the same first training (empty: entered later), size says how far they came, "
    "diamonds are named rules."
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


_LEARNING: Final = (
    "The loss is smoothed over about twenty steps and is that of augmented images and smoothed labels, so it does not "
    "end at zero. The accuracy is that of the averaged weights on images that were only watched."
)
_RATE_TEST: Final = (
    "The range test: the loss while the learning rate rose from step to step. Half of its fall was done at the dotted "
    "line, where the peak of the schedule was put: "
)


def _learning(report: Report) -> Markup:
    parts = [element("p", _LEARNING), chart("learning", learning_figure(report), "training loss and accuracy")]
    if report.get("rate_test"):
        parts.append(element("p", f"{_RATE_TEST}{report['rate_test']['rate']:.3g}."))
        parts.append(chart("rates", rate_figure(report), "loss of the range test"))
    return join(parts)


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
            chart("confusion", confusion_figure(shown), "confusion matrix"),
            sections.confusion_table(shown),
        )
    )
