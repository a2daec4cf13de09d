"""What operators on values of any number of axes read along height and width, which are the last two axes of a map."""

from __future__ import annotations

from collections.abc import Collection

from convsmith.ir import AxisRead, Spread, Window


def mixed(rank: int, axes: Collection[int]) -> tuple[AxisRead, AxisRead]:
    """The reads where every output sees the whole of ``axes``, counted from 0, and stays in place along the others.

    Fewer than four axes are no map: the whole value is read where all but the batch is mixed, and otherwise rows of
    features keep their places.
    """
    if rank < 4:
        read = Spread.WHOLE if len(axes) >= rank - 1 else Window()
        return (read, read)
    return (
        Spread.WHOLE if rank - 2 in axes else Window(),
        Spread.WHOLE if rank - 1 in axes else Window(),
    )


def moved(height: bool, width: bool) -> tuple[AxisRead, AxisRead]:
    """The reads of an operator that only moves elements, and whether it does so along height and along width."""
    return (Spread.PERMUTED if height else Window(), Spread.PERMUTED if width else Window())
