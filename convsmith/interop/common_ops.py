"""What every other format spells in some way of its own and the graph in one: which operator a call is.

The readers of torch modules and of ONNX files differ in how they find the operands; the choice is made here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from convsmith.ir import Op
from convsmith.ops import Add, Clip, Div, Maximum, Minimum, Mul, ReLU, ReLU6, Scalar, Sub

OfNumber = Callable[[float], Op | None]


def _none(number: float) -> Op | None:
    return None


class Arithmetic(NamedTuple):
    """An operation of two operands.

    Attributes:
        kind: The operator of two values, or None where there is none.
        right: The operator for a single number on the right, or None where there is none.
        left: The same for a number on the left.
    """

    kind: type[Op] | None
    right: OfNumber = _none
    left: OfNumber = _none


def _scalar(function: str) -> OfNumber:
    return lambda number: Scalar(function, number)


def _divided(number: float) -> Op:
    return Scalar("mul", 1 / number if number else float("inf"))


def _at_least(number: float) -> Op | None:
    return bounded(number, None) if math.isfinite(number) else None


def _at_most(number: float) -> Op | None:
    return bounded(None, number) if math.isfinite(number) else None


ADD: Final = Arithmetic(Add, _scalar("add"), _scalar("add"))
SUB: Final = Arithmetic(Sub, lambda number: Scalar("add", -number), _scalar("rsub"))
MUL: Final = Arithmetic(Mul, _scalar("mul"), _scalar("mul"))
DIV: Final = Arithmetic(Div, _divided, _scalar("rdiv"))
POW: Final = Arithmetic(None, _scalar("pow"))
MAXIMUM: Final = Arithmetic(Maximum, _at_least, _at_least)
MINIMUM: Final = Arithmetic(Minimum, _at_most, _at_most)


@lru_cache(maxsize=2**8)
def bounded(low: float | None, high: float | None) -> Op:
    """An activation that cuts at two bounds, by the name it has where it has one."""
    named: dict[tuple[float | None, float | None], Op] = {(0.0, 6.0): ReLU6(), (0.0, None): ReLU()}
    return named.get((low, high)) or Clip(low, high)


def whole_equation(equation: str) -> str:
    """An einsum equation with its result written out: without an arrow, the indices that appear once, in order."""
    equation = equation.replace(" ", "")
    if "->" in equation:
        return equation
    letters = equation.replace(",", "")
    return f"{equation}->{''.join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))}"
