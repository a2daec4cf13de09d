"""Attributes as torch accepts them: kept in one canonical form, checked, and the shapes that follow from them."""

from __future__ import annotations

import math
from typing import Any, cast

from convsmith.ir import Op, Shape, TensorType

Pair = tuple[int, int]
Sides = tuple[Pair, Pair]
"""Padding: (top, bottom), (left, right)."""


def pair(value: Any) -> Any:
    """``3`` is ``(3, 3)``; lists become tuples; anything else is left for the operator to refuse."""
    if isinstance(value, int):
        return (value, value)
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


def numbers(value: Any) -> Any:
    """``3`` is ``(3,)``; lists become tuples; anything else is left for the operator to refuse."""
    if isinstance(value, int):
        return (value,)
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


def sides(value: Any) -> Any:
    """``1`` is ``((1, 1), (1, 1))`` and ``(1, 2)`` is ``((1, 1), (2, 2))``; anything else is left to be refused."""
    axes = pair(value)
    return tuple(map(pair, _items(axes))) or axes


def symmetric(padding: Sides) -> bool:
    """Whether both sides of each axis have the same padding, as torch's own layers need."""
    return padding[0][0] == padding[0][1] and padding[1][0] == padding[1][1]


def weight_and_bias(weight: Shape, channels: int, bias: bool = True) -> dict[str, Shape]:
    """Shapes by the names that torch gives them; a bias has one number for each output channel."""
    return {"weight": weight, "bias": (channels,)} if bias else {"weight": weight}


def check_pair(op: Op, name: str, value: Any, least: int) -> None:
    """Refuse anything but two integers of at least ``least``.

    Raises:
        OpError: Naming the attribute and the value.
    """
    op.require(_is_pair(value, least), f"must be two integers of at least {least}", name, value)


def check_sides(op: Op, name: str, value: Any, least: int | None = 0) -> None:
    """Refuse anything but two pairs of integers of at least ``least``.

    Raises:
        OpError: Naming the attribute and the value.
    """
    axes = _items(value)
    holds = len(axes) == 2 and all(_is_pair(axis, least) for axis in axes)
    bound = "" if least is None else f" of at least {least}"
    op.require(holds, f"must be (top, bottom), (left, right) integers{bound}", name, value)


def check_positive(op: Op, **attributes: Any) -> None:
    """Refuse attributes that are not positive integers.

    Raises:
        OpError: Naming the attribute and the value.
    """
    for name, value in attributes.items():
        op.require(is_int(value) and value > 0, "must be a positive integer", name, value)


def check_channels(op: Op, in_channels: int, out_channels: int, groups: int) -> None:
    """Refuse channels that ``groups`` does not divide.

    Raises:
        OpError: Naming the attribute and the value.
    """
    check_positive(op, in_channels=in_channels, out_channels=out_channels, groups=groups)
    divides = math.gcd(in_channels, out_channels) % groups == 0
    op.require(divides, f"must divide in_channels {in_channels} and out_channels {out_channels}", "groups", groups)


def same_channels(op: Op, type: TensorType, attribute: str, channels: int) -> TensorType:
    """``type``, if it has as many channels as ``attribute`` says.

    Raises:
        OpError: Naming the attribute and the value.
    """
    op.require(type.shape[1] == channels, f"must equal the {type.shape[1]} channels of the input", attribute, channels)
    return type


def check_bool(op: Op, **attributes: Any) -> None:
    """Refuse attributes that are not ``True`` or ``False``.

    Raises:
        OpError: Naming the attribute and the value.
    """
    for name, value in attributes.items():
        op.require(value is True or value is False, "must be True or False", name, value)


def check_number(op: Op, **attributes: Any) -> None:
    """Refuse attributes that are not numbers; infinities are numbers here.

    Raises:
        OpError: Naming the attribute and the value.
    """
    for name, value in attributes.items():
        number = isinstance(value, float) or is_int(value)
        op.require(number and value == value, "must be a number", name, value)


def check_sizes(op: Op, name: str, value: Any, least: int = 1) -> None:
    """Refuse anything but a tuple of integers of at least ``least``.

    Raises:
        OpError: Naming the attribute and the value.
    """
    holds = isinstance(value, tuple) and all([is_int(size) and size >= least for size in _items(value)])
    op.require(holds, f"must be integers of at least {least}", name, cast("Any", value))


def check_axis(op: Op, name: str, axis: Any, rank: int | None = None) -> None:
    """Refuse anything but the number of an axis, counted from 0; without ``rank`` any such number will do.

    Raises:
        OpError: Naming the attribute and the value.
    """
    rule = "must be an axis counted from 0" if rank is None else f"must be one of the {rank} axes of the input"
    op.require(is_int(axis) and 0 <= axis and (rank is None or axis < rank), rule, name, axis)


def is_int(value: Any) -> bool:
    """Whether ``value`` is an integer and not a truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_pair(value: Any, least: int | None) -> bool:
    both = _items(value)
    return len(both) == 2 and all(is_int(number) and (least is None or number >= least) for number in both)


def _items(value: Any) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", value) if isinstance(value, tuple) else ()
