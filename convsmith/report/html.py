"""``report.html``: one file that opens anywhere, without a network, and begins with the answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

import plotly.offline

from convsmith.quantities import format_bytes, format_count, format_percent, format_seconds, format_shape
from convsmith.report.charts import chart, confusion_figure, map_figure, rung_figure
from convsmith.report.figures import last_accuracy, reached, rule_of

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"


def render_html(report: Mapping[str, Any]) -> str:
    """The page of a report, as one self-contained document."""
    style = files("convsmith.report").joinpath("page.css").read_text(encoding="utf-8")
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(report['name'])}</title>",
            f"<style>{style}</style>",
            f"<script>{plotly.offline.get_plotlyjs()}</script>",
            "</head><body><main>",
            *_sections(report),
            "</main></body></html>",
        )
    )


def _sections(report: Mapping[str, Any]) -> Iterable[str]:
    yield f'<h1>{_text(report["name"])}</h1><p class="answer">{_text(report["sentence"])}</p>'
    yield _key_figures(report)
    if report["candidates"]:
        yield _section("Where the budget went", _MAP_TEXT + chart("map", map_figure(report)) + _candidate_table(report))
        yield _section("The rules at the same budget", _rule_table(report))
        yield _section("Rung by rung", chart("rungs", rung_figure(report)))
    yield _section("Confusion", _worst_confusions(report) + chart("confusion", confusion_figure(report["confusion"])))
    yield _section("The network", f"<pre>{_text(report['chosen']['design'])}</pre>")
    yield _section("Files that could not be read", _rejected(report["rejected"]))
    yield _section("How it was made", _facts(report))


_MAP_TEXT = (
    "<p>Each dot is a network that costs the same. Its place says how the budget was split between depth, width and "
    "resolution, counted from the base network that the rules scale; outside the triangle one of them shrank. "
    "Colour is accuracy where it was last measured.</p>"
)


def _key_figures(report: Mapping[str, Any]) -> str:
    accuracy, chosen, budget = report["accuracy"], report["chosen"], report["budget"]
    low, high = accuracy["ci95"]
    rows = [
        ("test accuracy", f"{format_percent(accuracy['test'])}", f"{format_percent(low)} to {format_percent(high)}"),
        ("multiply-adds", format_count(chosen["macs"]), _of_budget(chosen["macs"], budget["macs"])),
        ("parameters", format_count(chosen["params"]), _of_budget(chosen["params"], budget["params"])),
        ("one image", f"{chosen['latency_ms']:.3g} ms", "onnxruntime, 1 thread"),
        ("input", format_shape(chosen["input"]), f"from {report['data']['side']} px"),
        ("took", format_seconds(report["seconds"]["total"]), "in all"),
    ]
    cells = (
        f"<div><dt>{_text(name)}</dt><dd>{_text(value)}<small>{_text(note)}</small></dd></div>"
        for name, value, note in rows
    )
    return f'<dl class="figures">{"".join(cells)}</dl>'


def _of_budget(spent: int, limit: int | None) -> str:
    return f"{format_percent(spent / limit)} of {format_count(limit)}" if limit else "not limited"


def _candidate_table(report: Mapping[str, Any]) -> str:
    ordered = sorted(
        report["candidates"], key=lambda one: (reached(one) == "finals", last_accuracy(one) or 0), reverse=True
    )
    rows = [
        (
            ("★ " if one["key"] == report["chosen"]["key"] else "") + (rule_of(one) or one["origin"]),
            _percent(last_accuracy(one)),
            _interval(one["final"]),
            one["failure"] or reached(one),
            format_count(one["macs"]),
            format_count(one["params"]),
            *(f"{100 * one['shares'][axis]:.0f} %" for axis in ("depth", "width", "resolution")),
        )
        for one in ordered
    ]
    header = ("network", "accuracy", "95 % interval", "came to", "macs", "params", "depth", "width", "resolution")
    return f"<details><summary>All {len(rows)} networks as a table</summary>{_table(header, rows)}</details>"


def _rule_table(report: Mapping[str, Any]) -> str:
    rows = [
        (
            name.replace("_", " "),
            _percent(rule["accuracy"]),
            _interval(rule if rule.get("ci95") else None),
            rule["failure"] or f"{rule['judged_on']} images",
            format_count(rule["macs"]) if rule.get("macs") else "",
            _percent(rule.get("probability_chosen_is_better"), digits=0),
        )
        for name, rule in report["rules"].items()
    ]
    return _table(("rule", "accuracy", "95 % interval", "judged on", "macs", "chosen is better"), rows)


def _worst_confusions(report: Mapping[str, Any]) -> str:
    classes, matrix = report["confusion"]["classes"], report["confusion"]["matrix"]
    pairs = [
        (count, classes[row], classes[column])
        for row, counts in enumerate(matrix)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    worst = sorted(pairs, key=lambda pair: -pair[0])[:3]
    if not worst:
        return "<p>No test image was mistaken.</p>"
    items = "".join(f"<li>{_text(true)} taken for {_text(answer)}: {count}</li>" for count, true, answer in worst)
    return f"<p>Most often mistaken:</p><ul>{items}</ul>"


def _rejected(rejected: Sequence[Mapping[str, str]]) -> str:
    if not rejected:
        return "<p>None.</p>"
    return _table(("file", "reason"), [(one["path"], one["reason"]) for one in rejected], numbers=False)


def _facts(report: Mapping[str, Any]) -> str:
    data, parity = report["data"], report["parity"]
    rows = [
        ("images", f"{data['images']:,}: {data['train']:,} train, {data['select']:,} select, {data['test']:,} test"),
        ("images under two splits", f"{data['leaks']:,}"),
        ("calibration error", format_percent(report["accuracy"]["calibration_error"], 2)),
        ("parity of model.onnx", f"relative difference {parity['relative']:.2g} on {parity['images']} images"),
        ("weights", format_bytes(4 * report["chosen"]["params"])),
        ("seed", str(report["seed"])),
        ("machine", _pairs(report["machine"])),
        ("versions", _pairs(report["versions"])),
        ("recipe", json.dumps(report["recipe"], ensure_ascii=False)),
        *(("note", note) for note in report["notes"]),
    ]
    return _table(("what", ""), rows, numbers=False) + (
        "<p>Every figure can be recomputed from <code>events.ndjson</code> and <code>study.journal</code> "
        "beside this page.</p>"
    )


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _percent(value: float | None, digits: int = 1) -> str:
    return "" if value is None else format_percent(value, digits)


def _interval(judged: Mapping[str, Any] | None) -> str:
    return "" if not judged else " to ".join(format_percent(bound) for bound in judged["ci95"])


def _section(title: str, body: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{body}</section>"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    head = "".join(f"<th scope='col'>{_text(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    kind = "numbers" if numbers else "words"
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _text(value: object) -> str:
    return escape(str(value))
