"""Stem, stages and head of a network, as consecutive runs of its layers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from convsmith.analysis.cost import Cost, LayerCost

_STAGE = re.compile(r"stage\d+")


@dataclass(frozen=True)
class Section:
    """A run of layers that belong together.

    Attributes:
        kind: ``stem``, ``stage`` or ``head``.
        first: Name of its first layer.
        last: Name of its last layer.
    """

    name: str
    kind: str
    first: str
    last: str
    params: int
    macs: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(vars(self))


def section_of(layer: LayerCost) -> str:
    """Name of the section a layer belongs to: the first part of its name."""
    return layer.name.split(".", 1)[0]


def sections(cost: Cost) -> tuple[Section, ...]:
    """The sections in running order."""
    return tuple(_section(name, tuple(layers)) for name, layers in groupby(cost.layers, section_of))


def _section(name: str, layers: tuple[LayerCost, ...]) -> Section:
    kind = "stage" if _STAGE.fullmatch(name) else name
    totals = sum(layer.params for layer in layers), sum(layer.macs for layer in layers)
    return Section(name, kind, layers[0].name, layers[-1].name, *totals)
