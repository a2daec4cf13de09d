"""Strides as a design file has them: a whole number keeps or shrinks the map, ``"1/n"`` enlarges it n times.

A block that can enlarge declares its keyword ``stride`` as ``Stride``; of all others only whole strides are taken.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any, Final

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from convsmith.errors import OpError
from convsmith.ops import ConvTranspose2d

MOST: Final = 16
"""Largest number that a stride divides or multiplies the size of a map by."""

Step = int | Fraction

_FRACTION: Final = re.compile(r"\s*1\s*/\s*([0-9]{1,9})\s*")


def _whole(value: Any) -> int:
    if _is_whole(value):
        return value
    if isinstance(value, Fraction) or (isinstance(value, str) and _FRACTION.fullmatch(value)):
        remedy = "enlarge with a block that can, such as conv or residual"
        raise _refusal(f"must be a whole number from 1 to {MOST}: this block cannot enlarge a map", remedy)
    raise _refusal(f"must be a whole number from 1 to {MOST}", "give 1 to keep the size, 2 to halve it")


def _step(value: Any) -> Step:
    if _is_whole(value):
        return value
    if isinstance(value, str) and (match := _FRACTION.fullmatch(value)) and int(match[1]):
        value = Fraction(1, int(match[1]))
    if isinstance(value, Fraction) and value.numerator == 1 and value.denominator <= MOST:
        return value if value.denominator > 1 else 1
    rule = f'must be a whole number from 1 to {MOST}, or "1/n" with n from 2 to {MOST}'
    raise _refusal(rule, 'give 1 to keep the size, 2 to halve it, "1/2" to double it')


def _is_whole(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MOST


def _refusal(rule: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("stride", "{rule}", {"rule": rule, "remedy": remedy})


def _plain(value: Step) -> int | str:
    return value if isinstance(value, int) else str(value)


_WHOLE_SCHEMA: Final[dict[str, Any]] = {"type": "integer", "minimum": 1, "maximum": MOST}
_FRACTION_SCHEMA: Final[dict[str, Any]] = {"type": "string", "pattern": "^1/([2-9]|1[0-6])$"}

WholeStride = Annotated[int | Fraction, PlainValidator(_whole), WithJsonSchema(_WHOLE_SCHEMA)]
Stride = Annotated[
    int | Fraction,
    PlainValidator(_step),
    PlainSerializer(_plain),
    WithJsonSchema({"anyOf": [_WHOLE_SCHEMA, _FRACTION_SCHEMA]}),
]
"""The stride of a block that can enlarge."""


def enlarging(
    in_channels: int, out_channels: int, kernel: int, stride: Step, *, dilation: int, groups: int, bias: bool
) -> ConvTranspose2d:
    """The transposed convolution that multiplies the size of any map by n, at ``stride`` 1/n.

    What is too much is cut from both sides alike; where the kernel does not reach from pixel to pixel, or one row is
    missing, the end is filled up. On a map of one pixel an n x n kernel is stamped as it is.
    """
    factor, extent = stride.denominator, dilation * (kernel - 1) + 1
    cut = max(0, -((factor - extent) // 2))
    missing = factor - extent + 2 * cut
    size, step, padding, more, spread = ((number, number) for number in (kernel, factor, cut, missing, dilation))
    return ConvTranspose2d(in_channels, out_channels, size, step, padding, more, spread, groups, bias)


def whole(stride: Step, key: str, value: str) -> int:
    """The stride of a way of shrinking that is the ``value`` of ``key``.

    Raises:
        OpError: If ``stride`` is below one.
    """
    if isinstance(stride, Fraction):
        rule = f'{key} must be "stride" where the stride is {stride}: pooling cannot enlarge a map'
        raise OpError(rule, received=value, remedy=f"leave {key} out, or give a stride of 1 or more")
    return stride
