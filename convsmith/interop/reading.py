"""What reading a network from somewhere else gives: the graph, and what the graph alone does not tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from convsmith.ir import Graph, Shape


@dataclass(frozen=True, order=True)
class Unknown:
    """An operation that has no operator here.

    Attributes:
        function: Its name where it comes from.
        where: The place in the network.
    """

    function: str
    where: str

    def __str__(self) -> str:
        return f"{self.function} in {self.where}"


@dataclass(frozen=True, eq=False)
class Reading:
    """A network as it was read.

    Attributes:
        graph: The network; an operation that is not known stands in it as ``Opaque``.
        weights: Stored arrays by the names that the graph gives them, where the source holds them.
        unused: Shapes of the parameters that the source stores and the network never uses.
        unknown: Operations that were not understood.
        called: For each node of a torch module, what ran it: ``ReLU`` is the torch.nn class, ``relu`` the function that
            ``forward`` called, ``X.relu`` the function within a module X of another package; empty if not known.
        warnings: What the user should know, a sentence each.
    """

    graph: Graph
    weights: Mapping[str, Any] | None = None
    unused: Mapping[str, Shape] = field(default_factory=dict[str, Shape])
    unknown: tuple[Unknown, ...] = ()
    called: Mapping[str, str] = field(default_factory=dict[str, str])
    warnings: tuple[str, ...] = ()
