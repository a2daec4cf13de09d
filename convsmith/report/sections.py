"""The sections of the page: from the figures of a report to HTML, one function each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from convsmith.analysis import Section, cost, sections
from convsmith.design import lower, parse_design
from convsmith.errors import ConvsmithError
from convsmith.quantities import (
    count_of,
    format_bytes,
    format_count,
    format_percent,
    format_probability,
    format_seconds,
    format_shape,
)
from convsmith.report.markup import Markup, details, element, html, join, lines, table
from convsmith.report.view import (
    Confusion,
    Mistake,
    Report,
    Standing,
    handed_over,
    names,
    reached,
    rung_lengths,
    rung_reached,
    rungs_of,
    standings,
    summary,
)

_SHOWN_FILES: Final = 200
_NOTHING: Final = Markup("–")
_BITS: Final = (
    "Trainings judged on the test images carry one bit for each image. This gives the accuracies of the finals; "
    "intervals and probabilities come from resampling seeds and images of the same bits."
)
_RECOUNT: Final = """\
import base64, json
import numpy as np

networks = {}
for line in open("events.ndjson", encoding="utf-8"):
    event = json.loads(line)
    outcome = event.get("outcome", {})
    if event.get("final") and outcome.get("correct"):
        packed = np.frombuffer(base64.b64decode(outcome["correct"]), np.uint8)
        right = np.unpackbits(packed, count=outcome["total"])  # one bit for each test image
        networks.setdefault(event["candidate"], {})[event["seed"]] = right.mean()
for key, seeds in networks.items():
    print(key, len(seeds), "seeds", np.mean(list(seeds.values())))
"""


_BYTES = (("memory for one image", "memory_bytes"), ("exported file", "file_bytes"))
"""What has a figure of its own where it is limited."""


def answer(report: Report) -> Markup:
    """The verdict in one sentence and the figures that matter."""
    chosen, budget, data = report["chosen"], report["budget"], report["data"]
    accuracy, (low, high), training = handed_over(report)
    images = f"{report['accuracy']['images']:,} test images"
    threads = report.get("latency", {}).get("threads", 1)
    tiles = (
        _tile("test accuracy", format_percent(accuracy), f"95 %: {_range(low, high)}", f"{images}, {training}"),
        _tile("multiply-adds", format_count(chosen["macs"]), *_of_budget(chosen["macs"], budget["macs"], format_count)),
        _tile("parameters", format_count(chosen["params"]),
              *_of_budget(chosen["params"], budget["params"], format_count)),
        _tile("time for one image", _milliseconds(chosen["latency_ms"]),
              *_of_budget(chosen["latency_ms"], budget["latency_ms"], _milliseconds),
              f"onnxruntime, this machine, {count_of(threads, 'thread')}"),
        *(_tile(name, format_bytes(chosen[key]), *_of_budget(chosen[key], budget[key], format_bytes))
          for name, key in _BYTES if budget.get(key) and chosen.get(key)),
    )  # fmt: skip
    took = f"{format_seconds(report['seconds']['total'])} in all" if report["seconds"].get("total") else ""
    source = f"{data['images']:,} images of {len(data['classes'])} classes from {data['source']}"
    network = f"input {format_shape(chosen['input'])}, {format_bytes(4 * chosen['params'])} of weights"
    return join(
        (
            element("p", report["name"], class_="kicker"),
            element("h1", report["sentence"]),
            element("dl", *tiles, class_="tiles"),
            element("p", " · ".join(part for part in (source, network, took) if part), class_="soft"),
            *(element("p", note, class_="note") for note in report["notes"]),
        )
    )


def under_way(report: Report) -> Markup:
    """What can be said of a run that has not ended."""
    data = report["data"]
    source = f"{data['images']:,} images of {len(data['classes'])} classes from {data['source']}"
    again = "This page shows what the log held when it was made; `convsmith report` makes it anew."
    return join(
        (
            element("p", report["name"], class_="kicker"),
            element("h1", report["sentence"]),
            element("p", source, class_="soft"),
            *(element("p", note, class_="note") for note in (again, *report["notes"])),
        )
    )


def standings_table(report: Report) -> Markup:
    """Finalists and rules with their intervals, as figures and as bars on one scale."""
    rows = standings(report)
    ends = [end for row in rows if row.interval for end in row.interval]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    header = ("network", "accuracy", "95 % interval", f"{format_percent(low)} … {format_percent(high)}", "judged on",
              "MACs", "parameters", "chosen is better")  # fmt: skip
    cells = (
        (
            _named(row),
            _percent(row.accuracy),
            _range(*row.interval) if row.interval else _NOTHING,
            _bar(row, low, high),
            row.judged_on or _NOTHING,
            _count(row.macs),
            _count(row.params),
            _probability(row),
        )
        for row in rows
    )
    return table("Finalists, named rules and ready-made networks at the same budget", header, cells)


def candidates_table(report: Report) -> Markup:
    """All networks: the numbers behind the map and the rungs."""
    called, lengths = names(report), rung_lengths(report)
    header = ("network", "design", *(f"rung {number}" for number in range(1, len(lengths) + 1)), "test", "reached",
              "MACs", "parameters", "depth", "width", "resolution")  # fmt: skip
    ordered = sorted(report["candidates"], key=lambda one: (not one["final"], -rung_reached(one, lengths), -_last(one)))
    rows = (
        (
            _with_remark(called[one["key"]], f"{one['key']} {one['origin']} {one['failure']}".strip()),
            summary(one["design"]),
            *(_percent(rung["accuracy"]) if rung else _NOTHING for rung in rungs_of(one, lengths)),
            _percent(one["final"]["accuracy"] if one["final"] else None),
            reached(one, lengths),
            _count(one["macs"]),
            _count(one["params"]),
            *(_percent((one.get("shares") or {}).get(axis), 0) for axis in ("depth", "width", "resolution")),
        )
        for one in ordered
    )
    caption = "All networks: accuracy on the select images after each rung, on the test images, cost, and shares"
    return details(f"All {len(ordered)} networks as a table", table(caption, header, rows, words=2))


def mistakes_list(found: Sequence[Mistake]) -> Markup:
    """The largest confusions in words."""
    if not found:
        return element("p", "No test image was mistaken.")
    items = (
        element("li", element("b", one.true), " taken for ", element("b", one.answer),
                f": {one.count:,} of {one.of:,} images ({format_percent(one.count / one.of)})")
        for one in found
    )  # fmt: skip
    return join((element("p", "Most often mistaken:"), element("ol", *items)))


def confusion_table(confused: Confusion) -> Markup:
    """The numbers of the heat map."""
    rows = ((name, *counts) for name, counts in zip(confused.classes, confused.matrix, strict=True))
    return details(
        "The confusion matrix as a table",
        table("Rows: true class; columns: answer", ("true class", *confused.classes), rows),
    )


def network(report: Report) -> Markup:
    """The chosen design: its sections as a strip sized by their work, and its text."""
    text = report["chosen"]["design"]
    return join((_strip(text), element("p", "The design, as ", element("code", "design.toml"), " beside this page:"),
                 element("pre", lines(text), tabindex=0, aria_label="design")))  # fmt: skip


def rejected(report: Report) -> Markup:
    """Files that could not be read, with reasons."""
    files = report["rejected"]
    if not files:
        return element("p", "None.")
    rows = [(one["path"], one["reason"]) for one in files[:_SHOWN_FILES]]
    rest = len(files) - len(rows)
    more = element("p", f"{rest:,} more are listed in report.json.") if rest else ""
    caption = f"{count_of(len(files), 'file')} left out before the images were split"
    return join((table(caption, ("file", "reason"), rows, words=2), more))


def making(report: Report) -> Markup:
    """Data, recipe, plan, machine, versions and parity, as they are in ``report.json``."""
    data = {key: value for key, value in report["data"].items() if key != "classes"}
    budget = {key: value for key, value in report["budget"].items() if value is not None}
    quality = {key: report.get("accuracy", {}).get(key) for key in ("log_loss", "calibration_error")}
    quality = {key: value for key, value in quality.items() if value is not None}
    groups = {
        "budget": budget,
        "data": {**data, "classes": ", ".join(str(name) for name in report["data"]["classes"])},
        "accuracy": quality,
        "parity of model.onnx with the network": report.get("parity"),
        "reused": reused_facts(report),
        "recipe": report["recipe"],
        "plan": report["plan"],
        "seconds": report["seconds"],
        "machine": report["machine"],
        "versions": report["versions"],
    }
    return join(facts(name, values) for name, values in groups.items() if values)


def reused_facts(report: Report) -> Mapping[str, Any]:
    """What came from earlier runs, if anything did."""
    reused = report.get("reused") or {}
    return reused if reused.get("trainings") else {}


def recompute(report: Report) -> Markup:
    """How to arrive at the figures again."""
    log = element("code", "events.ndjson")
    told = element("p", log, " beside this page holds every training as one line: network, seed, images trained on, "
                   "loss, accuracy. ", element("code", "report.json"), " holds what this page shows. ",
                   f"Chance was drawn from seed {report['seed']}.")  # fmt: skip
    if report["kind"] != "fit":
        return told
    how = element("p", _BITS)
    return join((told, how, element("pre", lines(_RECOUNT), tabindex=0, aria_label="recount")))


def _tile(name: str, value: str, *remarks: object) -> Markup:
    return element("div", element("dt", name), element("dd", value), *(element("dd", remark) for remark in remarks))


def _of_budget(spent: float | None, limit: float | None, show: Any) -> tuple[Markup, ...]:
    if not limit or spent is None:
        return ()
    share = spent / limit
    filled = element("span", style=f"width: {min(100 * share, 100):.1f}%")
    return (element("span", filled, class_="meter"), html(f"{format_percent(share)} of {show(limit)}"))


def _named(row: Standing) -> Markup:
    badge = element("span", "chosen", class_="badge chosen") if row.chosen else ""
    tie = element("span", "tied", class_="badge") if row.tied and not row.chosen else ""
    return join((_with_remark(row.name, row.failure), badge, tie))


def _with_remark(name: str, remark: str) -> Markup:
    return join((element("span", name), element("small", remark) if remark else ""))


def _bar(row: Standing, low: float, high: float) -> Markup:
    """The interval drawn on the scale of its column."""
    if row.interval is None or row.accuracy is None:
        return Markup("")
    left, middle, right = (
        6 + 148 * (value - low) / max(high - low, 1e-9) for value in (row.interval[0], row.accuracy, row.interval[1])
    )
    kind = "chosen" if row.chosen else "other"
    return Markup(
        f'<svg class="bar {kind}" width="160" height="16" viewBox="0 0 160 16" aria-hidden="true">'
        f'<line x1="{left:.1f}" x2="{right:.1f}" y1="8" y2="8"/><circle cx="{middle:.1f}" cy="8" r="4.5"/></svg>'
    )


def _probability(row: Standing) -> str | Markup:
    if row.chosen_better is None:
        return _NOTHING
    return format_probability(row.chosen_better)


def _strip(text: str) -> Markup:
    try:
        parts = sections(cost(lower(parse_design(text, where="design"))))
    except ConvsmithError:  # a report is shown even if this version no longer knows its blocks
        return Markup("")
    total = sum(part.macs for part in parts) or 1
    blocks = (_block(part, part.macs / total) for part in parts)
    rows = (
        (part.name, format_count(part.macs), format_percent(part.macs / total), format_count(part.params))
        for part in parts
    )
    shown = table("Where the work is", ("section", "MACs", "share", "parameters"), rows)
    return join((element("div", *blocks, class_="strip", aria_hidden="true"), shown))


def _block(part: Section, share: float) -> Markup:
    return element("span", part.name if share > 0.06 else "", class_=part.kind, style=f"flex-grow: {1000 * share:.0f}",
                   title=f"{part.name}: {format_percent(share)} of the MACs")  # fmt: skip


def facts(name: str, values: Mapping[str, Any]) -> Markup:
    """A group of values under a heading."""
    pairs = (
        join((element("dt", key.replace("_", " ")), element("dd", _plain(value)))) for key, value in values.items()
    )
    return element("section", element("h3", name), element("dl", *pairs, class_="facts"))


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value
    return (
        f"{value:,}"
        if isinstance(value, int) and not isinstance(value, bool)
        else json.dumps(value, ensure_ascii=False)
    )


def _last(one: Report) -> float:
    return one["rungs"][-1]["accuracy"] or 0.0 if one["rungs"] else 0.0


def _count(value: int | None) -> str | Markup:
    return _NOTHING if value is None else format_count(value)


def _percent(value: float | None, digits: int = 1) -> str | Markup:
    return _NOTHING if value is None else format_percent(round(value, digits + 2) + 0.0, digits)  # no minus zero


def _range(low: float, high: float) -> str:
    return f"{format_percent(low)} to {format_percent(high)}"


def _milliseconds(value: float | None) -> str:
    return "not measured" if value is None else format_seconds(value / 1e3)
