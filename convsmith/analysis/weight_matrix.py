"""C of Y = CX for one layer, with the number of a weight in each entry: what is shared, and what is not connected."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convsmith.analysis.operator import operator
from convsmith.ir import Graph, Node

MOST_ENTRIES: Final = 5_000_000
"""Entries above which a single layer's matrix is not built: about 0.4 GB while it is."""

_SAME: Final = 12  # decimals to which two means of a pool are the same number


@dataclass(frozen=True, eq=False)
class WeightMatrix:
    """A sparse matrix as the places of its entries, row by row.

    Attributes:
        shape: (outputs, inputs).
        rows: Row of each entry.
        columns: Column of each entry.
        weights: Number of the weight in each entry: its place in the flattened kernel, as torch stores it (out, in /
            groups, kh, kw), or (in, out / groups, kh, kw) of a transposed convolution. Of a mean, which of ``values``.
        kernel: Shape of the kernel; empty where nothing is learned.
        values: What the entries of a mean are; empty where they are learned.
    """

    shape: tuple[int, int]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    weights: NDArray[np.int64]
    kernel: tuple[int, ...] = ()
    values: tuple[float, ...] = ()

    @property
    def count(self) -> int:
        """How many weights there are, those among them that only ever meet padding."""
        return math.prod(self.kernel) if self.kernel else len(self.values)

    @property
    def nonzeros(self) -> int:
        """Entries: pairs of an output and an input that are connected."""
        return len(self.rows)

    @cached_property
    def distinct(self) -> int:
        """How many different weights there are among the entries."""
        return int(np.count_nonzero(np.bincount(self.weights))) if self.nonzeros else 0

    @property
    def sparsity(self) -> float:
        """Share of all places that hold no entry."""
        return 1 - self.nonzeros / (self.shape[0] * self.shape[1])

    def facts(self) -> dict[str, Any]:
        """``to_dict`` without its entries."""
        facts = {"shape": list(self.shape), "nonzeros": self.nonzeros, "distinct_weights": self.distinct}
        return {**facts, "values": list(self.values)} if self.values else facts

    def triples(self) -> NDArray[np.int64]:
        """(row, column, weight) of every entry, row by row."""
        return np.stack((self.rows, self.columns, self.weights), axis=1)

    def to_dict(self) -> dict[str, Any]:
        """The ``matrix`` of the ``conv --json`` contract."""
        return {**self.facts(), "entries": self.triples().tolist()}


def weight_matrix(graph: Graph, node: Node) -> WeightMatrix:
    """The matrix of a linear layer, from what its operator says.

    Raises:
        GraphError: If the layer is not linear in one input, or the matrix would have more than ``MOST_ENTRIES``.
    """
    kernel = node.op.param_shapes(*graph.input_types(node)).get("weight", ())
    # Weights that are their own numbers, from 1 on as a zero is no entry, come out where they stand.
    numbered = {f"{node.name}.weight": np.arange(1, math.prod(kernel) + 1).reshape(kernel)} if kernel else {}
    matrix: Any = operator(graph, node.name, node.name, numbered, largest=MOST_ENTRIES)
    starts: NDArray[np.int64] = matrix.indptr
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    columns: NDArray[np.int64] = matrix.indices.astype(np.int64)
    if kernel:
        return WeightMatrix(matrix.shape, rows, columns, matrix.data.astype(np.int64) - 1, kernel)
    means: NDArray[np.float64] = matrix.data
    _, first, which = np.unique(np.round(means, _SAME), return_index=True, return_inverse=True)
    return WeightMatrix(matrix.shape, rows, columns, which, values=tuple(means[first].tolist()))
