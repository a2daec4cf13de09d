"""What a notebook shows of a network or a run: a few tables without scripts or styles, from plain values."""

from __future__ import annotations

from typing import Final

from convsmith.quantities import format_bytes, format_count, format_percent, format_seconds
from convsmith.report.inspection_rows import Data, sees_text, shape_text, window_text
from convsmith.report.markup import Markup, details, element, join, table
from convsmith.report.view import handed_over

_MOST: Final = 300
"""Layers that are listed; a notebook keeps everything that it shows."""


def network_html(data: Data) -> Markup:
    """A network from its ``inspect`` data: what it costs in all, by section and by layer."""
    totals = data["totals"]
    head = " · ".join(
        (
            shape_text(data["input"]),
            f"{format_count(totals['macs'])} MACs",
            f"{format_count(totals['params'])} parameters",
            f"weights {format_bytes(totals['weight_bytes'])}",
            f"peak of activations {format_bytes(totals['peak_activation_bytes'])}",
        )
    )
    sections = ((part["name"], format_count(part["macs"]), format_count(part["params"])) for part in data["sections"])
    layers = data["layers"]
    more = [] if len(layers) <= _MOST else [element("p", f"and {len(layers) - _MOST:,} more")]
    return element(
        "div",
        element("p", element("b", data["model"]), " ", head),
        table("Sections", ("section", "MACs", "parameters"), sections),
        details(f"All {len(layers):,} layers", table("Layers", _HEADER, map(_layer, layers[:_MOST])), *more),
        *(element("p", warning) for warning in data["warnings"]),
    )


_HEADER: Final = ("layer", "operator", "output", "MACs", "parameters", "sees")


def _layer(layer: Data) -> tuple[str, ...]:
    op = f"{layer['op']} {window_text(layer)}".strip()
    counts = (format_count(layer["macs"]), format_count(layer["params"]))
    return layer["name"], op, shape_text(layer["output"]), *counts, sees_text(layer["receptive_field"])


def run_html(report: Data, folder: object) -> Markup:
    """A run from its report: the outcome in a sentence, what it was judged by, and where its page is."""
    rows: list[tuple[str, str]] = []
    chosen, seconds = report.get("chosen", {}), report["seconds"]
    if report.get("accuracy"):
        accuracy, (low, high), _ = handed_over(report)
        told = f"{format_percent(accuracy)}, 95 % interval {format_percent(low)} to {format_percent(high)}"
        rows.append(("right on test images", told))
    rows += [(name, format_count(chosen[name])) for name in ("macs", "params") if chosen.get(name) is not None]
    if chosen.get("latency_ms") is not None:
        rows.append(("one image, exported", format_seconds(chosen["latency_ms"] / 1000)))
    if seconds.get("total") is not None:
        rows.append(("took", format_seconds(seconds["total"])))
    notes = (element("p", note) for note in report["notes"])
    page = element("p", "The report: ", element("code", f"{folder}/report.html"))
    return join((element("p", element("b", report["sentence"])), table("Run", ("", ""), rows, words=2), *notes, page))
