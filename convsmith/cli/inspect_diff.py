"""What ``inspect`` says of two networks: their figures side by side, and the layers that differ."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from convsmith.analysis import LayerCost
from convsmith.cli.inspect_columns import field_text
from convsmith.cli.inspect_page import Block, Note, Row, Table
from convsmith.jobs.compare import Comparison, LayerPair
from convsmith.quantities import format_shape
from convsmith.report.words import MACS

_MARKS = {"same": " ", "changed": "~", "added": "+", "removed": "-"}
_CSV = ("change", "name", "op", "output", "params", "macs")


def diff(comparison: Comparison, *, layers: bool) -> Iterator[Block]:
    """Sections, totals and conventions side by side; with ``layers`` also the layers that differ."""
    names = [one.graph.name for one in (comparison.before, comparison.after)]
    sizes = [format_shape(one.graph.inputs[0][1].shape[1:]) for one in (comparison.before, comparison.after)]
    yield Note((f"{names[0]}, input {sizes[0]}, and {names[1]}, input {sizes[1]}",), style="title")
    if layers:
        yield from _layers(comparison)
    rows = [(name, *map(_count, (*params, *macs))) for name, params, macs in comparison.sections]
    yield _table(("section", "params", "params'", "macs", "macs'"), rows)
    rows = [(name.replace("_", " "), *map(_count, pair), _ratio(*pair)) for name, pair in comparison.totals.items()]
    rows.append(("sees", *map(field_text, comparison.fields), ""))
    yield _table(("total", *names, "ratio"), rows)
    rows = [(name, *map(_count, pair), _ratio(*pair)) for name, pair in comparison.conventions.items()]
    yield _table(("convention", *names, "ratio"), rows)
    yield Note((MACS,), style="soft")


def csv_text(comparison: Comparison) -> str:
    """A line for each pair of layers; a quote marks what is the second network's."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_CSV, *(f"{name}'" for name in _CSV[1:])))
    for pair in comparison.layers:
        writer.writerow((pair.change, *_cells(pair.before), *_cells(pair.after)))
    return text.getvalue()


def _layers(comparison: Comparison) -> Iterator[Block]:
    differing = [pair for pair in comparison.layers if pair.change != "same"]
    same = len(comparison.layers) - len(differing)
    header = ("", "op", "layer", "output", "macs", "layer'", "output'", "macs'")
    if differing:
        rows = tuple(Row(_pair(pair), pair.change) for pair in differing)
        yield Table(header, rows, (False, False, False, True, True, False, True, True), ("macs", "macs'", "op"))
    yield Note((f"{same:,} layers are the same in both; above, ~ is changed, + added, - removed",), style="soft")


def _pair(pair: LayerPair) -> tuple[str, ...]:
    ops = " to ".join(dict.fromkeys(layer.op for layer in (pair.before, pair.after) if layer))
    before, after = _cells(pair.before, "{:,}"), _cells(pair.after, "{:,}")
    return (_MARKS[pair.change], ops, *before[:1], *before[2:3], *before[4:], *after[:1], *after[2:3], *after[4:])


def _cells(layer: LayerCost | None, number: str = "{}") -> tuple[str, ...]:
    if layer is None:
        return ("",) * 5
    output = format_shape(layer.output[1:])
    return layer.name, layer.op, output, number.format(layer.params), number.format(layer.macs)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    numbers = (False, *(True for _ in header[1:]))
    return Table(tuple(header), tuple(Row(tuple(row)) for row in rows), numbers)


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _ratio(before: int | None, after: int | None) -> str:
    return f"{after / before:.3f}" if before and after else "-"
