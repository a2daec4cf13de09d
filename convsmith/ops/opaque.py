"""The place of an operator that nobody has written rules for, so that a network with one can still be shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

from convsmith.errors import OpError
from convsmith.ir import AxisRead, BadSample, Op, Sample, Shape, Spread, TensorType, Terms
from convsmith.ir.types import ITEM_BYTES
from convsmith.ops.pairs import check_sizes, numbers


@final
@dataclass(frozen=True)
class Opaque(Op):
    """A function known by its name and the type of its result alone: its work is not counted and it cannot run.

    Attributes:
        function: What the model calls it.
        shape: Shape of its result, the batch included.
    """

    arity: ClassVar[int | None] = None

    function: str
    shape: Shape
    dtype: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", numbers(self.shape))
        self.require(bool(self.function), "must have a name", "function", self.function)
        check_sizes(self, "shape", self.shape, 0)
        self.require(self.dtype in ITEM_BYTES, f"must be one of {', '.join(ITEM_BYTES)}", "dtype", self.dtype)

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(self.shape, self.dtype)

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Spread.PERMUTED, Spread.PERMUTED)

    def to_torch(self) -> Any:
        raise OpError("function has no rules here, so it cannot run", received=self.function, where="Opaque")

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = TensorType((1, 2, 3, 4))
        return (Sample(cls("unique", (5,)), (map,)), Sample(cls("mesh", (3, 4), "int64"), (map, map)))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"function": "", "shape": (5,)}, (), "function", ""),
            BadSample({"function": "unique", "shape": (-1,)}, (), "shape", (-1,)),
            BadSample({"function": "unique", "shape": (5,), "dtype": "text"}, (), "dtype", "text"),
        )
