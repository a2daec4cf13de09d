"""The columns of ``inspect``: what each says of a layer, and of a run of layers for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from math import prod
from typing import Any, Final

from convsmith.analysis import LayerCost
from convsmith.cli.app import UsageError
from convsmith.deploy.roofline import Estimate
from convsmith.errors import did_you_mean
from convsmith.ir import Terms
from convsmith.jobs.inspect import GEOMETRY, Inspection
from convsmith.quantities import format_bytes, format_percent
from convsmith.report.words import field_text, one_image

Layers = Sequence[LayerCost]
Sizes = tuple[int | str, ...]
Value = int | float | str | bool | Sizes | None


@dataclass(frozen=True)
class View:
    """A network to be shown.

    Attributes:
        estimate: Its time on this machine, where that was asked for.
    """

    inspection: Inspection
    estimate: Estimate | None = None


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: On the command line and in CSV.
        title: Over the column of a table.
        value: What it says of a layer, exactly.
        text: What it says of a run of layers, for people.
        number: Whether it is aligned and sorted as a number.
        adds: Whether the values of layers add up.
    """

    name: str
    title: str
    value: Callable[[View, LayerCost], Value]
    text: Callable[[View, Layers], str]
    number: bool = True
    adds: bool = False

    def exact(self, view: View, layer: LayerCost) -> str:
        """The value as CSV has it: shapes as ``64x56x56``, nothing for None."""
        value = self.value(view, layer)
        if isinstance(value, tuple):
            return "x".join(map(str, value))
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    def rank(self, view: View, layer: LayerCost) -> tuple[bool, Any]:
        """What rows are sorted by: numbers from the largest, words from A, rows without a value last."""
        value = self.value(view, layer)
        if value is None or not self.number:
            return value is None, value
        return False, -prod(map(int, value)) if isinstance(value, tuple) else -float(value)


def pick(names: str, columns: Sequence[Column], option: str) -> list[Column]:
    """The columns called ``names``, divided by commas, in that order.

    Raises:
        UsageError: If there is none of that name.
    """
    known = {column.name: column for column in columns}
    return [known[check_name(name.strip(), known, option)] for name in names.split(",")]


def check_name(name: str, known: Mapping[str, object], option: str) -> str:
    """``name``, which must be one of ``known``.

    Raises:
        UsageError: If it is not; the message has the nearest and all of them.
    """
    if name not in known:
        remedy = did_you_mean(name, known, f"choose from {', '.join(known)}")
        raise UsageError(f"{option} has no such name", received=name, remedy=remedy)
    return name


def _words(name: str, title: str, value: Callable[[View, LayerCost], Value]) -> Column:
    """A column whose values are shown where all layers of a run agree."""

    def text(view: View, layers: Layers) -> str:
        cells = {column.exact(view, layer) for layer in layers}
        return cells.pop() if len(cells) == 1 else ""

    column = Column(name, title, value, text, number=False)
    return column


def _sum(
    name: str, title: str, value: Callable[[View, LayerCost], float], show: Callable[[Any], str] = "{:,}".format
) -> Column:
    """A column whose values add up."""
    return Column(name, title, value, lambda view, layers: show(sum(value(view, layer) for layer in layers)), adds=True)


def _end(
    name: str,
    title: str,
    value: Callable[[View, LayerCost], Value],
    text: Callable[[View, LayerCost], str] | None = None,
) -> Column:
    """A column in which a run of layers is what its last one is."""
    show = text or (lambda view, layer: column.exact(view, layer))
    column = Column(name, title, value, lambda view, layers: show(view, layers[-1]))
    return column


def _input(view: View, layer: LayerCost) -> Value:
    return tuple(one_image(layer.inputs[0])) if layer.inputs else None


def _output(view: View, layer: LayerCost) -> Value:
    return tuple(one_image(layer.output))


def share(view: View, layer: LayerCost) -> float:
    """Share of the network's multiply-adds."""
    return layer.macs / max(view.inspection.cost.macs, 1)


def _attribute(name: str, view: View, layer: LayerCost) -> Value:
    """An attribute of the operator; padding that differs between the sides of an axis as ``0+1``."""
    found = getattr(view.inspection.graph.node(layer.name).op, name, None)
    if isinstance(found, tuple) and name == "padding":
        return tuple(_sides(side) for side in found)
    return found


def _sides(padding: Any) -> int | str:
    if isinstance(padding, int):
        return padding
    before, after = padding
    return before if before == after else f"{before}+{after}"


def _field(name: str, view: View, layer: LayerCost) -> Value:
    field = view.inspection.fields.get(layer.name)
    return None if field is None else tuple(getattr(axis, name) for axis in (field.height, field.width))


def _global(view: View, layer: LayerCost) -> Value:
    field = view.inspection.fields.get(layer.name)
    return None if field is None else field.whole


def _sees(view: View, layer: LayerCost) -> str:
    field = view.inspection.fields.get(layer.name)
    return "" if field is None else field_text(field.size, field.whole)


def _padding_macs(view: View, layer: LayerCost) -> int:
    wasted = view.inspection.waste.layers.get(layer.name)
    return 0 if wasted is None else wasted.padding_macs


def _lost(view: View, layer: LayerCost) -> Value:
    wasted = view.inspection.waste.layers.get(layer.name)
    return None if wasted is None else wasted.lost_share


def _lost_text(view: View, layer: LayerCost) -> str:
    value = _lost(view, layer)
    return format_percent(float(value)) if isinstance(value, float) and value else ""


def _term(name: str, view: View, layer: LayerCost) -> int:
    return getattr(layer.terms, name)


def _milliseconds(view: View, layer: LayerCost) -> float:
    assert view.estimate is not None
    return 1e3 * view.estimate.per_layer[layer.name]


COLUMNS: Final = (
    _words("name", "layer", lambda view, layer: layer.name),
    _words("op", "op", lambda view, layer: layer.op),
    _words("section", "section", lambda view, layer: view.inspection.section_names[layer.name]),
    _words("input", "input", _input),
    _end("output", "output", _output),
    *(_words(name, name, partial(_attribute, name)) for name in GEOMETRY),
    _end("field", "sees", partial(_field, "size"), _sees),
    _end("min_field", "sees at least", partial(_field, "min_size")),
    _end("global", "whole map", _global),
    _end("jump", "jump", partial(_field, "jump")),
    _sum("params", "params", lambda view, layer: layer.params),
    _sum("macs", "macs", lambda view, layer: layer.macs),
    _sum("share", "of all", share, format_percent),
    _sum("activations", "activations", lambda view, layer: layer.activations),
    _sum("memory", "moves", lambda view, layer: view.inspection.memory.bytes_of[layer.name], format_bytes),
    _sum("padding_macs", "with padding", _padding_macs),
    _end("lost", "unread", _lost, _lost_text),
    *(_sum(f"terms.{field.name}", field.name, partial(_term, field.name)) for field in fields(Terms)),
)
"""All columns, in the order of CSV."""

TIME: Final = _sum("ms", "ms", _milliseconds, "{:.3f}".format)
"""The column that ``--latency`` adds."""

SHOWN: Final = "name,op,output,field,params,macs,share"
"""What a table of layers shows unless told otherwise; of sections, the same without ``op``."""
