"""Shapes spread over each other, from the last axis on, as numpy and torch do it."""

from __future__ import annotations

from convsmith.ir import Op, Shape


def broadcast(op: Op, first: Shape, second: Shape, received: Shape) -> Shape:
    """The shape of both: axes of size 1, and missing ones in front, take the size of the other.

    Raises:
        OpError: Naming the second input, whose whole shape is ``received``, where two sizes differ and none is 1.
    """
    rank = max(len(first), len(second))
    pairs = zip((1,) * (rank - len(first)) + first, (1,) * (rank - len(second)) + second, strict=True)
    shape = tuple([right if left == 1 else left if right in (1, left) else -1 for left, right in pairs])
    op.require(-1 not in shape, f"must spread over the shape {first} of the first", "second input", received)
    return shape
