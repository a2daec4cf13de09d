"""Two networks side by side: what their sections and the whole of each cost, and which layers differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any, Literal

from convsmith.analysis import LayerCost, ReceptiveField
from convsmith.jobs.inspect import Inspection

Pair = tuple[int | None, int | None]
"""A figure of the first network and of the second; None where it has no such section."""


@dataclass(frozen=True)
class LayerPair:
    """A layer of the first network and what stands in its place in the second.

    Attributes:
        before: None where the second has a layer more.
        after: None where the second has a layer less.
    """

    before: LayerCost | None
    after: LayerCost | None

    @property
    def change(self) -> Literal["same", "changed", "added", "removed"]:
        """What became of the layer; its name does not matter."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        return "same" if _cost(self.before) == _cost(self.after) else "changed"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        layers = {"before": self.before, "after": self.after}
        return {"change": self.change, **{key: layer and layer.to_dict() for key, layer in layers.items()}}


@dataclass(frozen=True)
class Comparison:
    """The difference between two networks, each on its own input."""

    before: Inspection
    after: Inspection

    @property
    def totals(self) -> dict[str, Pair]:
        """Every total of the ``inspect`` contract."""
        before, after = self.before.totals, self.after.totals
        return {name: (before[name], after[name]) for name in before}

    @property
    def conventions(self) -> dict[str, Pair]:
        """The total in every convention."""
        before, after = self.before.conventions, self.after.conventions
        return {name: (before[name], after[name]) for name in before}

    @property
    def fields(self) -> tuple[ReceptiveField | None, ReceptiveField | None]:
        """What a unit of the last map sees."""
        return self.before.last_field, self.after.last_field

    @property
    def sections(self) -> list[tuple[str, Pair, Pair]]:
        """Name, parameters and multiply-adds of every section that one of them has, in running order."""
        ours, theirs = ({part.name: part for part in one.sections} for one in (self.before, self.after))
        names = sorted({*ours, *theirs}, key=_running_order)
        pairs = [(name, ours.get(name), theirs.get(name)) for name in names]
        return [(name, (a and a.params, b and b.params), (a and a.macs, b and b.macs)) for name, a, b in pairs]

    @cached_property
    def layers(self) -> tuple[LayerPair, ...]:
        """The layers of both, aligned: by name and cost, then what is left between those by cost, then by operator."""
        return tuple(_pairs(self.before.cost.layers, self.after.cost.layers, (_named, _cost, _operator)))

    def to_dict(self, *, layers: bool = False) -> dict[str, Any]:
        """The ``--json`` data: every figure as [first, second].

        Args:
            layers: With all layers, aligned.
        """
        found = {
            "schema": "convsmith/compare/1",
            "models": [one.graph.name for one in (self.before, self.after)],
            "inputs": [list(one.graph.inputs[0][1].shape) for one in (self.before, self.after)],
            "totals": {name: list(pair) for name, pair in self.totals.items()},
            "conventions": {name: list(pair) for name, pair in self.conventions.items()},
            "receptive_field": [field and field.to_dict() for field in self.fields],
            "sections": [
                {"name": name, "params": list(params), "macs": list(macs)} for name, params, macs in self.sections
            ],
        }
        return {**found, "layers": [pair.to_dict() for pair in self.layers]} if layers else found


def compare(before: Inspection, after: Inspection) -> Comparison:
    """Two inspected networks side by side."""
    return Comparison(before, after)


Key = Callable[[LayerCost], object]


def _pairs(before: Sequence[LayerCost], after: Sequence[LayerCost], keys: Sequence[Key]) -> Iterator[LayerPair]:
    """Layers whose first key is equal, and between them those whose next is."""
    if not keys:
        yield from (LayerPair(layer, None) for layer in before)
        yield from (LayerPair(None, layer) for layer in after)
        return
    key, *others = keys
    ours, theirs = [key(layer) for layer in before], [key(layer) for layer in after]
    for change, i, j, k, m in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if change == "equal":
            yield from map(LayerPair, before[i:j], after[k:m])
        else:
            yield from _pairs(before[i:j], after[k:m], others)


def _named(layer: LayerCost) -> object:
    return layer.name, _cost(layer)


def _cost(layer: LayerCost) -> object:
    """What two layers have in common that do the same, whatever they are called."""
    return layer.op, layer.inputs, layer.output, layer.params, layer.terms


def _operator(layer: LayerCost) -> object:
    return layer.op


def _running_order(name: str) -> tuple[int, int, str]:
    """Stem, stages by number, head; a name of another kind goes before the head."""
    number = name.removeprefix("stage")
    if number.isdigit():
        return 1, int(number), name
    return {"stem": 0, "head": 3}.get(name, 2), 0, name
