"""What ``inspect`` says of two networks: their figures side by side, and the layers that differ."""

from __future__ import annotations

from collections.abc import Iterator

from convsmith.analysis import LayerCost
from convsmith.cli.page import Block, Note, Row, Table, make_table, write_csv
from convsmith.jobs.compare import Comparison, LayerPair
from convsmith.quantities import format_shape
from convsmith.report.words import MACS, field_text, one_image

_MARKS = {"same": " ", "changed": "~", "added": "+", "removed": "-"}
_CSV = ("change", "name", "op", "output", "params", "macs")


def diff(comparison: Comparison, *, layers: bool) -> Iterator[Block]:
    """Sections, totals and conventions side by side; with ``layers`` also the layers that differ."""
    names = [one.graph.name for one in (comparison.before, comparison.after)]
    sizes = [format_shape(one_image(one.graph.inputs[0][1].shape)) for one in (comparison.before, comparison.after)]
    yield Note((f"{names[0]}, input {sizes[0]}, and {names[1]}, input {sizes[1]}",), style="title")
    if layers:
        yield from _layers(comparison)
    rows = [(name, *map(_count, (*params, *macs))) for name, params, macs in comparison.sections]
    yield make_table(("section", "params", "params'", "macs", "macs'"), rows)
    rows = [(name.replace("_", " "), *map(_count, pair), _ratio(*pair)) for name, pair in comparison.totals.items()]
    rows.append(("sees", *(field_text(field.size, field.whole) if field else "" for field in comparison.fields), ""))
    yield make_table(("total", *names, "ratio"), rows)
    rows = [(name, *map(_count, pair), _ratio(*pair)) for name, pair in comparison.conventions.items()]
    yield make_table(("convention", *names, "ratio"), rows)
    yield Note((MACS,), style="soft")


def csv_text(comparison: Comparison) -> str:
    """A line for each pair of layers; a quote marks what is the second network's."""
    rows = ((pair.change, *_cells(pair.before), *_cells(pair.after)) for pair in comparison.layers)
    return write_csv((*_CSV, *(f"{name}'" for name in _CSV[1:])), rows)


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
    output = format_shape(one_image(layer.output))
    return layer.name, layer.op, output, number.format(layer.params), number.format(layer.macs)


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _ratio(before: int | None, after: int | None) -> str:
    return f"{after / before:.3f}" if before and after else "-"
