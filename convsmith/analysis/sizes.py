"""The input sizes nearest to a network's own at which no window is left over by rounding down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convsmith.analysis.cost import cost
from convsmith.analysis.facts import ELEMENTWISE, asked, facts, windows
from convsmith.errors import OpError
from convsmith.ir import Graph


@dataclass(frozen=True)
class InputSize:
    """A size of the input (height, width), and what the network costs there."""

    size: tuple[int, int]
    macs: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"size": list(self.size), "macs": self.macs}


def nearest_sizes(graph: Graph, *, within: int = 64) -> tuple[InputSize | None, InputSize | None]:
    """The nearest smaller and the nearest larger input at which every window ends where its input ends.

    Nothing is then left over at the far edges, padding included, and the units lie in the middle of the image.
    Height and width are changed each for itself. Sizes that the network cannot take are passed over.

    Args:
        graph: A network whose inputs are maps.
        within: How many pixels to look around; beyond the largest jump everything repeats.

    Returns:
        The size below and the size above, None where there is none.
    """
    below = _search(graph, range(-1, -within - 1, -1))
    return below, _search(graph, range(1, within + 1))


def _search(graph: Graph, steps: range) -> InputSize | None:
    """The first size at which both axes are even, each by the first of ``steps`` that makes it so."""
    rows = columns = None
    for step in steps:
        left = _left_over(graph, step)
        if left is None:
            continue
        rows = step if rows is None and not left[0] else rows
        columns = step if columns is None and not left[1] else columns
        if rows is not None and columns is not None:
            return _priced(graph, rows, columns)
    return None


def _left_over(graph: Graph, step: int) -> tuple[bool, bool] | None:
    """Whether a window leaves something over along (height, width) where both are changed; None if that cannot be."""
    try:
        resized = _resized(graph, step, step)
        found = [False, False]
        for node in resized.nodes:
            question = asked(resized, node)
            terms, slid = facts(*question).terms, windows(*question)
            if slid and slid is not ELEMENTWISE and (terms.taps or terms.pool):
                for axis, size in enumerate(question[1][0].shape[-2:]):
                    found[axis] = found[axis] or slid[axis].remainder(size) > 0
    except OpError:
        return None
    return found[0], found[1]


def _priced(graph: Graph, rows: int, columns: int) -> InputSize | None:
    try:
        resized = _resized(graph, rows, columns)
        height, width = resized.inputs[0][1].shape[-2:]
        return InputSize((height, width), cost(resized).macs)
    except OpError:
        return None


def _resized(graph: Graph, rows: int, columns: int) -> Graph:
    shapes = [type.shape for _, type in graph.inputs]
    sizes = [(*shape[:-2], shape[-2] + rows, shape[-1] + columns) for shape in shapes]
    if min(min(size[-2:]) for size in sizes) < 1:
        raise OpError("an input must have pixels", received=sizes)
    return graph.with_inputs(*(type.with_shape(*size) for (_, type), size in zip(graph.inputs, sizes, strict=True)))
