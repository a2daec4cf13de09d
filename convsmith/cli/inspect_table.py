"""What ``inspect`` says of one network: a folded or a full table, totals, waste and hints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from convsmith.analysis import InputSize, LayerCost
from convsmith.cli.inspect_columns import Column, View, share
from convsmith.cli.inspect_fold import fold
from convsmith.cli.page import Block, Note, Row, Table, make_table, write_csv
from convsmith.deploy.roofline import Estimate
from convsmith.interop.conventions import CONVENTIONS
from convsmith.quantities import format_bytes, format_count, format_percent, format_seconds, format_shape
from convsmith.report.words import FIELD, MACS, lint_lines, one_image, size_lines, waste_lines

_SPARE: Final = ("memory", "activations", "share", "op", "field", "output", "params")
"""Columns that a narrow terminal goes without, the first to go first."""


def title(view: View) -> Note:
    """Name and input of the network."""
    graph = view.inspection.graph
    return Note((f"{graph.name}, input {format_shape(one_image(graph.inputs[0][1].shape))}",), style="title")


def layer_table(view: View, columns: Sequence[Column], sort: Column | None) -> Table:
    """A row for each layer."""
    rows = [_row(view, [column.text(view, [one]) for column in columns], [one]) for one in _sorted(view, sort)]
    return _table(columns, rows)


def section_table(view: View, columns: Sequence[Column]) -> Table:
    """A row for each section with its subtotals, and below it its parts, equal neighbours as one."""
    inspection = view.inspection
    by_name = {layer.name: layer for layer in inspection.cost.layers}
    kept = [column for column in columns if column.name not in ("name", "section", "op")]
    rows = list[Row]()
    for section in inspection.sections:
        layers = [by_name[name] for name in section.layers]
        runs = [("section", section.name, layers)]
        parts = fold(inspection.graph, layers, section.name) if section.kind not in ("stem", "head") else []
        if len(parts) > 1 or any(part.times > 1 for part in parts):
            runs += [("part", f"  {part.label}", part.layers) for part in parts]
        for style, label, run in runs:
            rows.append(_row(view, [label, *(column.text(view, run) for column in kept)], run, style))
    everything = [column.text(view, inspection.cost.layers) if column.adds else "" for column in kept]
    rows.append(Row(("total", *everything), "total"))
    return _table(kept, rows, "section")


def _sorted(view: View, sort: Column | None) -> Sequence[LayerCost]:
    layers = view.inspection.cost.layers
    return layers if sort is None else sorted(layers, key=lambda layer: sort.rank(view, layer))


def _row(view: View, cells: Sequence[str], layers: Sequence[LayerCost], style: str = "") -> Row:
    return Row(tuple(cells), style, sum(share(view, layer) for layer in layers))


def _table(columns: Sequence[Column], rows: Sequence[Row], *first: str) -> Table:
    return Table(
        header=(*first, *(column.title for column in columns)),
        rows=tuple(rows),
        numbers=(*(False for _ in first), *(column.number for column in columns)),
        spare=tuple(column.title for name in _SPARE for column in columns if column.name == name),
    )


def about(view: View, convention: str | None, sizes: Sequence[InputSize | None] | None) -> Iterator[Block]:
    """Everything but the table: totals, the same total in other conventions, waste, hints and warnings."""
    inspection = view.inspection
    yield Note(tuple(_totals(view, convention)))
    others = [(name, f"{total:,}") for name, total in inspection.conventions.items() if name != "macs"]
    yield make_table(("counted as", "total"), others)
    yield Note(tuple(waste_lines(inspection.waste, inspection.cost.macs)), "waste")
    if sizes is not None:
        yield Note(tuple(size_lines(sizes, inspection.cost.macs)), "nearest sizes")
    if inspection.lints:
        yield Note(tuple(lint_lines(inspection.lints)), "hints")
    if inspection.warnings:
        yield Note(tuple(inspection.warnings), "warnings", "warning")
    yield Note((MACS, FIELD), style="soft")


def _totals(view: View, convention: str | None) -> Iterator[str]:
    inspection, memory = view.inspection, view.inspection.memory
    totals = inspection.totals
    yield f"parameters   {totals['params']:,} ({format_bytes(totals['weight_bytes'])} as float32)"
    if convention is None:
        yield f"macs         {totals['macs']:,} ({format_count(totals['macs'])})"
    else:
        counted = inspection.conventions[convention]
        yield f"{convention:<11}  {counted:,} ({format_count(counted)}): {CONVENTIONS[convention].description}"
    yield f"activations  {totals['activations']:,} outputs of convolutions and linear layers"
    yield f"peak memory  {format_bytes(totals['peak_activation_bytes'])} of values alive at once"
    yield f"moved        {format_bytes(memory.bytes_moved)}, {memory.intensity:.1f} FLOP per byte"
    sgd, adam = (format_bytes(inspection.training[name].total) for name in ("sgd", "adam"))
    yield f"training     {sgd} for a step on one image with SGD and momentum, {adam} with Adam"
    if view.estimate is not None:
        yield f"latency      {_latency(view.estimate)}"


def _latency(estimate: Estimate) -> str:
    low, high = (format_seconds(end) for end in (estimate.low, estimate.high))
    error = format_percent(estimate.error)
    return f"{format_seconds(estimate.seconds)}, likely {low} to {high}; error {error} on networks held out, 1 thread"


def csv_text(view: View, columns: Sequence[Column], sort: Column | None) -> str:
    """A line for each layer, with exact values."""
    rows = ([column.exact(view, layer) for column in columns] for layer in _sorted(view, sort))
    return write_csv([column.name for column in columns], rows)
