"""``inspect``: the exact table of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Final

from convsmith.analysis import (
    OPTIMIZER_STATES,
    Cost,
    InputSize,
    LayerCost,
    Lint,
    Memory,
    ReceptiveField,
    Section,
    TrainingMemory,
    Waste,
    cost,
    lints,
    memory,
    receptive_fields,
    sections,
    training_memory,
    waste,
)
from convsmith.deploy.roofline import Estimate
from convsmith.errors import GateError, ModelError
from convsmith.interop.canonical import canonical
from convsmith.interop.conventions import matching, totals
from convsmith.interop.reading import Reading
from convsmith.ir import Graph
from convsmith.jobs.models import open_model
from convsmith.quantities import in_units, parse_bytes, parse_count
from convsmith.report.notebook import network_html

SCHEMA: Final = "convsmith/inspect/1"
GEOMETRY: Final = ("kernel_size", "stride", "padding", "dilation", "groups")
"""The attributes of an operator that say how it slides over its input; null in a row where it has none."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """The facts of a network on one image; each is worked out when it is first asked for.

    Attributes:
        reading: The network as it was read, with what its source says beside the graph.
    """

    reading: Reading

    @cached_property
    def graph(self) -> Graph:
        """The network in the form in which every door gives the same rows."""
        return canonical(self.reading.graph)

    @cached_property
    def cost(self) -> Cost:
        """The ledger, layer by layer."""
        return cost(self.graph)

    @cached_property
    def fields(self) -> Mapping[str, ReceptiveField]:
        """What a unit of every value sees of the image."""
        return receptive_fields(self.graph)

    @property
    def last_field(self) -> ReceptiveField | None:
        """What a unit of the last map sees; None if there is no map."""
        fields = (self.fields.get(node.name) for node in reversed(self.graph.nodes))
        return next((field for field in fields if field is not None), None)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """Stem, stages and head."""
        return sections(self.cost, self.fields)

    @cached_property
    def section_names(self) -> Mapping[str, str]:
        """Name of the section of every layer."""
        return {layer: section.name for section in self.sections for layer in section.layers}

    @cached_property
    def waste(self) -> Waste:
        """Work and pixels that come to nothing."""
        return waste(self.graph, self.fields)

    @cached_property
    def memory(self) -> Memory:
        """Bytes held and moved."""
        return memory(self.graph)

    @cached_property
    def training(self) -> Mapping[str, TrainingMemory]:
        """What a training step on one image needs, by the optimiser."""
        needed = training_memory(self.graph)
        return {name: needed.under(name) for name in OPTIMIZER_STATES}

    @property
    def totals(self) -> dict[str, int]:
        """The totals of the contract."""
        return {
            **self.cost.totals(),
            "weight_bytes": self.memory.weight_bytes,
            "peak_activation_bytes": self.memory.peak_activation_bytes,
            "bytes_moved": self.memory.bytes_moved,
        }

    @cached_property
    def conventions(self) -> Mapping[str, int]:
        """The total as each tool of the field states it."""
        return totals(self.reading.graph, self.reading.called or None)

    @cached_property
    def lints(self) -> tuple[Lint, ...]:
        """What will cost more than it should, with reasons."""
        return lints(self.cost, self.waste)

    @property
    def warnings(self) -> list[str]:
        """What the reader of the table should know, a sentence each."""
        said = list(self.reading.warnings)
        if self.reading.unknown:
            unknown, nodes = len(self.reading.unknown), len(self.graph.nodes)
            said.append(f"{_unknown(unknown)} and counted as nothing; {nodes - unknown} of {nodes} layers are covered")
        if self.reading.unused:
            number = sum(map(prod, self.reading.unused.values()))
            names = list(self.reading.unused)
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            said.append(f"{number:,} parameters are stored and never used: {', '.join(names[:3])}{more}")
        return said

    def which(self, number: int) -> tuple[str, ...]:
        """The conventions and facts by which this network has ``number``."""
        return matching(self.reading.graph, number, self.reading.called or None)

    def to_dict(
        self,
        *,
        latency: Estimate | None = None,
        sizes: Sequence[InputSize | None] | None = None,
        convention: str | None = None,
    ) -> dict[str, Any]:
        """The ``--json`` contract.

        Args:
            latency: The time on this machine.
            sizes: The nearest input sizes that lose nothing.
            convention: The way of counting that was asked for.
        """
        asked = {
            "latency": latency and latency.to_dict(),
            "nearest_sizes": sizes and [size and size.to_dict() for size in sizes],
            "convention": convention,
        }
        return {
            "schema": SCHEMA,
            "model": self.graph.name,
            "input": list(self.graph.inputs[0][1].shape),
            "totals": self.totals,
            "conventions": dict(self.conventions),
            "memory": {
                **self.memory.to_dict(),
                "training": {name: needed.to_dict() for name, needed in self.training.items()},
            },
            "receptive_field": self.last_field and self.last_field.to_dict(),
            "waste": {
                "lossy": list(self.waste.lossy),
                "unproductive": list(self.waste.unproductive),
                "min_unproductive": list(self.waste.min_unproductive),
                "padding_macs": self.waste.padding_macs,
            },
            "sections": [section.to_dict() for section in self.sections],
            "layers": [self._layer(layer) for layer in self.cost.layers],
            "lints": [lint.to_dict() for lint in self.lints],
            "unused_params": {name: list(shape) for name, shape in self.reading.unused.items()},
            "unknown_ops": [{"function": one.function, "where": one.where} for one in self.reading.unknown],
            "warnings": self.warnings,
            **{name: value for name, value in asked.items() if value is not None},
        }

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return network_html(self.to_dict())

    def _layer(self, layer: LayerCost) -> dict[str, Any]:
        op, wasted = self.graph.node(layer.name).op, self.waste.layers.get(layer.name)
        field = self.fields.get(layer.name)
        return {
            **layer.to_dict(),
            "activations": layer.activations,
            "bytes_moved": self.memory.bytes_of[layer.name],
            "section": self.section_names[layer.name],
            **{key: getattr(op, key, None) for key in GEOMETRY},
            "receptive_field": None if field is None else field.to_dict(),
            "waste": None if wasted is None else wasted.to_dict(),
        }

    def check(
        self,
        *,
        max_macs: int | str | None = None,
        max_params: int | str | None = None,
        max_memory: int | str | None = None,
        max_unproductive: int | None = None,
    ) -> None:
        """Hold the totals against gates.

        Args:
            max_macs: Multiply-adds.
            max_params: Parameters.
            max_memory: Bytes of weights and of the values alive at once.
            max_unproductive: Layers whose input sees more than the image already.

        Raises:
            GateError: Naming the total that is over and by how much.
        """
        gates = (
            ("macs", in_units(max_macs, parse_count), lambda: self.cost.macs),
            ("params", in_units(max_params, parse_count), lambda: self.cost.params),
            (
                "memory",
                in_units(max_memory, parse_bytes),
                lambda: self.memory.weight_bytes + self.memory.peak_activation_bytes,
            ),
            ("unproductive layers", max_unproductive, lambda: len(self.waste.unproductive)),
        )
        for name, limit, ask in gates:
            if limit is not None and (total := ask()) > limit:
                raise GateError(f"{name} must be at most {limit:,}", received=total, where=self.graph.name)


def inspect(
    model: Any, input: str | Sequence[int] | None = None, *, allow_unknown: bool = False, run: bool = False
) -> Inspection:
    """The exact facts of ``model`` for one image, layer by layer.

    Args:
        model: A reference (``file.toml``, ``zoo:NAME``, a run folder, ``file.onnx``, ``timm:NAME``,
            ``torchvision:NAME``, ``package.module:factory``), a design, a graph or a ``torch.nn.Module``.
        input: (channels, height, width), or ``"3x64x64"``, in place of the model's own; 3x224x224 for a module that
            has none.
        allow_unknown: Go on where an operation is not known; it counts as nothing and a warning says so.
        run: Compute for real, on an image of zeros, where a torch module decides by numbers.

    Raises:
        ModelError: If the model cannot be read, or holds unknown operations; all are named with their places.
        DesignError: If a design does not fit the input.
    """
    reading = open_model(model, input=input, run=run)
    if reading.unknown and not allow_unknown:
        places = ", ".join(str(one) for one in dict.fromkeys(reading.unknown[:5]))
        more = f" and {len(reading.unknown) - 5} more" if len(reading.unknown) > 5 else ""
        rule = f"{_unknown(len(reading.unknown))}: {places}{more}"
        raise ModelError(rule, where=reading.graph.name, remedy="count them as nothing with `--allow-unknown`")
    return Inspection(reading)


def _unknown(number: int) -> str:
    return "1 operation is not known" if number == 1 else f"{number} operations are not known"
