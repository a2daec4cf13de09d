"""``inspect``: the exact table of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from convsmith.analysis import Cost, LayerCost, ReceptiveField, Section, cost, receptive_fields, section_of, sections
from convsmith.design import Design, lower
from convsmith.errors import GateError
from convsmith.ir import Graph
from convsmith.jobs.references import read_reference

SCHEMA = "convsmith/inspect/1"
_GEOMETRY = ("kernel_size", "stride", "padding", "dilation", "groups")


@dataclass(frozen=True)
class Inspection:
    """The facts of a network on one image."""

    graph: Graph
    cost: Cost

    @property
    def sections(self) -> tuple[Section, ...]:
        """Stem, stages and head."""
        return sections(self.cost)

    @cached_property
    def fields(self) -> Mapping[str, ReceptiveField]:
        """What a unit of every value sees of the image."""
        return receptive_fields(self.graph)

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` contract, as far as it is computed yet."""
        return {
            "schema": SCHEMA,
            "model": self.graph.name,
            "input": list(self.graph.inputs[0][1].shape),
            "totals": self.cost.totals(),
            "sections": [
                {**section.to_dict(), "jump": self.fields[section.last].to_dict()["jump"]} for section in self.sections
            ],
            "layers": [self._layer(layer) for layer in self.cost.layers],
            "unknown_ops": [],
            "warnings": [],
        }

    def _layer(self, layer: LayerCost) -> dict[str, Any]:
        return {
            **layer.to_dict(),
            "section": section_of(layer),
            **_geometry(self.graph, layer.name),
            "receptive_field": self.fields[layer.name].to_dict(),
        }

    def check(self, *, max_macs: int | None = None, max_params: int | None = None) -> None:
        """Hold the totals against gates.

        Raises:
            GateError: Naming the total that is over and by how much.
        """
        for name, total, limit in (("macs", self.cost.macs, max_macs), ("params", self.cost.params, max_params)):
            if limit is not None and total > limit:
                raise GateError(f"{name} must be at most {limit:,}", received=total, where=self.graph.name)


def inspect(model: str | Path | Design | Graph, *, input: tuple[int, int, int] | None = None) -> Inspection:
    """The exact cost of ``model``, layer by layer, for one image.

    Args:
        model: A design file, ``zoo:NAME``, a run folder, a design or a graph.
        input: (channels, height, width) in place of the design's own; the channels must be the design's.

    Raises:
        ModelError: If the reference cannot be read.
        DesignError: If the network does not fit the input.
    """
    if isinstance(model, Graph):
        return Inspection(model, cost(model))
    design = model if isinstance(model, Design) else read_reference(model)
    if input is not None:
        design = design.model_copy(update={"input": input})
    graph = lower(design)
    return Inspection(graph, cost(graph))


def _geometry(graph: Graph, name: str) -> dict[str, Any]:
    op = graph.node(name).op
    return {key: getattr(op, key) for key in _GEOMETRY if hasattr(op, key)}
