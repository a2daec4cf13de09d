"""Arithmetic on single elements: functions of one number, and of a number and a constant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from convsmith.ir import AxisRead, BadSample, Kept, Op, Sample, TensorType, Terms, Window
from convsmith.ops.activation import Activation
from convsmith.ops.pairs import check_number

FUNCTIONS = (
    "exp", "log", "sqrt", "rsqrt", "abs", "neg", "erf", "reciprocal",
    "sin", "cos", "square", "sign", "softsign", "floor", "ceil", "round",
)  # fmt: skip
"""Functions of one number that ``Pointwise`` knows, by the names that torch gives them."""
_SCALAR = ("add", "mul", "pow", "rsub", "rdiv")


@final
@dataclass(frozen=True)
class Pointwise(Activation):
    """A function of every element, by the name that torch gives it."""

    function: str

    def __post_init__(self) -> None:
        self.require(self.function in FUNCTIONS, f"must be one of {', '.join(FUNCTIONS)}", "function", self.function)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any | None:
        from convsmith.ops import sparse

        return -sparse.identity(type) if self.function == "neg" else None

    def keeps(self) -> Kept:
        return "nothing" if self.function in ("neg", "sign", "floor", "ceil", "round") else "inputs"

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.nn.functional.softsign if self.function == "softsign" else getattr(torch, self.function))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return tuple(Sample(cls(function), (TensorType((2, 3, 4, 5)),)) for function in FUNCTIONS)

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"function": "system"}, (TensorType((1, 6)),), "function", "system"),
            BadSample({"function": "exp"}, (), "inputs", 0),
        )


@final
@dataclass(frozen=True)
class Scalar(Op):
    """Every element x and one number v.

    Attributes:
        function: ``add`` for x + v, ``mul`` for x * v, ``pow`` for x ** v, ``rsub`` for v - x, ``rdiv`` for v / x.
        value: The number v.
    """

    function: str
    value: float

    def __post_init__(self) -> None:
        self.require(self.function in _SCALAR, f"must be one of {', '.join(_SCALAR)}", "function", self.function)
        check_number(self, value=self.value)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        return types[0]

    def terms(self, *types: TensorType) -> Terms:
        return Terms(add=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Window(), Window())

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any | None:
        from convsmith.ops import sparse

        slope = {"add": 1.0, "mul": self.value, "rsub": -1.0}.get(self.function)
        return None if slope is None else slope * sparse.identity(type)

    def keeps(self) -> Kept:
        return "nothing" if self.function in ("add", "mul", "rsub") else "inputs"

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        if self.function == "rdiv":
            return Call(_divide, value=self.value)
        option = "exponent" if self.function == "pow" else "other"
        return Call(getattr(torch, self.function), **{option: self.value})

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = (TensorType((2, 3, 4, 5)),)
        return (
            Sample(cls("add", 0.5), map),
            Sample(cls("mul", -2.0), (TensorType((2, 6)),)),
            Sample(cls("pow", 2.0), map),
            Sample(cls("pow", 0.5), map),
            Sample(cls("rsub", 1.0), map),
            Sample(cls("rdiv", 3.0), map),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = (TensorType((2, 3, 4, 5)),)
        return (
            BadSample({"function": "mod", "value": 1.0}, map, "function", "mod"),
            BadSample({"function": "add", "value": "1"}, map, "value", "1"),
            BadSample({"function": "add", "value": float("nan")}, map, "value", float("nan")),
            BadSample({"function": "add", "value": 1.0}, map * 2, "inputs", 2),
        )


def _divide(input: Any, value: float) -> Any:
    return value / input
