"""The settings of a single layer as people write them: numbers, pairs, fractions, or text of these."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, Literal, cast

from convsmith.errors import OpError, QuantityError
from convsmith.ir import TensorType, same_padding
from convsmith.ops.pairs import Pair, Sides
from convsmith.quantities import parse_shape

Number = int | float | Fraction | str
Numbers = Number | Sequence[Number]
"""One number for both axes, or one for the height and one for the width; text such as ``"3"``, ``"3x2"``, ``"1/2"``."""
Padding = int | str | Sequence[int] | Sequence[Sequence[int]]
"""One number, (height, width), (top, bottom, left, right), ((top, bottom), (left, right)), ``same`` or ``valid``."""

MOST: Final = 100_000
"""Largest side of a map and largest setting that a single layer is explained for."""

_BETWEEN: Final = re.compile(r"[x×,]")
_NUMBER: Final = re.compile(r"-?[0-9]+(/[0-9]+|[.][0-9]+)?")
_REMEDIES: Final[Mapping[str, str]] = {
    "kernel_size": "take a smaller kernel, a larger input or more padding",
    "padding": "take a smaller padding, or a larger kernel",
    "groups": "take a divisor of both numbers of channels",
    "output_padding": "take a smaller one; a larger output needs a larger stride or less padding",
    "out_channels": "give a whole number from 1 on",
    "count_include_pad": "give True or False",
    "ceil_mode": "give True or False",
}


def read_map(input: str | Sequence[int], where: str) -> TensorType:
    """The type of one map: text or numbers ``HxW`` or ``CxHxW``.

    Raises:
        QuantityError: If it is neither, or a side is above ``MOST``.
    """
    shape = parse_shape(input, "input")
    if len(shape) not in (2, 3):
        remedy = "write 4x4 for one channel or 3x224x224 for several"
        raise QuantityError("input must be HxW or CxHxW", received=input, where=where, remedy=remedy)
    if max(shape) > MOST:
        rule = f"input must have at most {MOST:,} channels and pixels a side"
        raise QuantityError(rule, received=input, where=where, remedy="take a smaller map: the arithmetic is the same")
    return TensorType((1, *((1, *shape) if len(shape) == 2 else shape)))


def read_pair(value: Numbers, name: str, where: str, least: int) -> Pair:
    """Two whole numbers of at least ``least``, for height and width.

    Raises:
        QuantityError: If it is anything else.
    """
    high, wide = (_whole(number, value, name, where) for number in _two(_parts(value, name, where), value, name, where))
    if min(high, wide) < least:
        remedy = f"give whole numbers from {least} on"
        raise QuantityError(f"{name} must be at least {least}", received=value, where=where, remedy=remedy)
    return (high, wide)


def read_stride(value: Numbers, where: str) -> tuple[Fraction, Fraction]:
    """The strides along height and width: each a whole number or 1 divided by one, and none shrinks where one enlarges.

    Raises:
        OpError: If they are not.
    """
    high, wide = _two(_parts(value, "stride", where), value, "stride", where)
    if min(high, wide) <= 0:
        remedy = "give 1, 2, ... to keep or shrink, 1/2, 1/3, ... to enlarge"
        raise OpError("stride must be above zero", received=str(value), where=where, remedy=remedy)
    if any(1 not in (number.numerator, number.denominator) for number in (high, wide)):
        remedy = "use 1/n and then a layer of stride m for m/n"
        raise OpError("stride must be a whole number or 1/n", received=str(value), where=where, remedy=remedy)
    if min(high, wide) < 1 < max(high, wide):
        remedy = "use two layers, one for each axis"
        raise OpError("stride must not shrink one axis and enlarge the other", received=str(value), where=where,
                      remedy=remedy)  # fmt: skip
    return high, wide


def read_padding(value: Padding, where: str) -> Sides | Literal["same", "valid"]:
    """Padding at (top, bottom), (left, right), or the word.

    Raises:
        QuantityError: If it is neither a word that is known nor 1, 2 or 4 whole numbers.
    """
    if isinstance(value, str) and value.strip().lower() in ("same", "valid"):
        return "same" if value.strip().lower() == "same" else "valid"
    if isinstance(value, str) or not isinstance(value, Iterable) or all(isinstance(one, int) for one in value):
        parts = _parts(cast("Numbers", value), "padding", where)
    else:
        parts = [part for axis in _nested(value, where) for part in _parts(axis, "padding", where)]
    if len(parts) not in (1, 2, 4):
        raise _padding_error(value, where)
    whole = [_whole(number, value, "padding", where) for number in parts]
    if min(whole) < 0:
        raise QuantityError("padding must be at least 0", received=value, where=where, remedy="crop the map beforehand")
    top, bottom, left, right = whole if len(whole) == 4 else (whole[0], whole[0], whole[-1], whole[-1])
    return ((top, bottom), (left, right))


def settled(
    padding: Sides | Literal["same", "valid"], map: TensorType, kernel: Pair, stride: Pair, dilation: Pair
) -> Sides:
    """Padding as numbers: ``valid`` is none, ``same`` what makes the output ``ceil(size / stride)``."""
    if padding == "valid":
        return ((0, 0), (0, 0))
    if padding == "same":
        high, wide = (same_padding(map.shape[2 + a], kernel[a], stride[a], dilation[a]) for a in (0, 1))
        return (high, wide)
    return padding


def remedied(error: OpError, where: str) -> OpError:
    """An operator's refusal with what to do about it."""
    attribute = error.rule.partition(" ")[0]
    return OpError(error.rule, received=error.received, where=where, remedy=_REMEDIES.get(attribute, ""))


def _nested(value: Any, where: str) -> list[Sequence[int]]:
    axes = [cast("Sequence[int]", axis) for axis in value if isinstance(axis, Sequence) and len(cast("Any", axis)) == 2]
    if len(axes) != 2 or len(value) != 2:
        raise _padding_error(value, where)
    return axes


def _padding_error(value: object, where: str) -> QuantityError:
    remedy = "write 1, 1x2 for height and width, 0,1,0,1 for top, bottom, left, right, `same` or `valid`"
    return QuantityError(
        "padding must be 1, 2 or 4 whole numbers or a word", received=value, where=where, remedy=remedy
    )


def _parts(value: Numbers, name: str, where: str) -> list[Fraction]:
    texts = _BETWEEN.split(_written(value)) if isinstance(value, str) or not isinstance(value, Iterable) else value
    numbers = [_written(text) for text in texts]
    if not all(_NUMBER.fullmatch(number) and not number.endswith("/0") for number in numbers):
        rule = f"{name} must be one number, or one for the height and one for the width"
        remedy = "write it like 3 or 3x2" + (", or 1/2" if name == "stride" else "")
        raise QuantityError(rule, received=value, where=where, remedy=remedy)
    found = [Fraction(number) for number in numbers]
    if any(abs(number) > MOST or number.denominator > MOST for number in found):
        remedy = "take a smaller one: the arithmetic is the same"
        raise QuantityError(f"{name} must be at most {MOST:,}", received=value, where=where, remedy=remedy)
    return found


def _written(number: object) -> str:
    """A number as text; 1 / 3 as a float is 1/3, of which it is the nearest."""
    if isinstance(number, float) and math.isfinite(number):
        return str(Fraction(number).limit_denominator(MOST))
    return str(number).strip()


def _two(parts: list[Fraction], value: object, name: str, where: str) -> tuple[Fraction, Fraction]:
    if len(parts) not in (1, 2):
        rule = f"{name} must be one number, or one for the height and one for the width"
        raise QuantityError(rule, received=value, where=where, remedy="write it like 3 or 3x2")
    return parts[0], parts[-1]


def _whole(number: Fraction, value: object, name: str, where: str) -> int:
    if number.denominator != 1:
        raise QuantityError(f"{name} must be whole", received=value, where=where, remedy="only a stride may be 1/n")
    return number.numerator
