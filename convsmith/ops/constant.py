"""A value that the network holds itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

from convsmith.ir import AxisRead, BadSample, Op, Sample, Shape, TensorType, Terms, Window
from convsmith.ops.pairs import check_bool, check_sizes, numbers


@final
@dataclass(frozen=True)
class Constant(Op):
    """A stored array, such as the scale of a layer or an embedding of positions; it reads nothing.

    Attributes:
        learned: Whether it is a parameter, or else a buffer that training leaves alone; both are called ``value``.
    """

    arity: ClassVar[int | None] = 0

    shape: Shape
    learned: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", numbers(self.shape))
        check_sizes(self, "shape", self.shape)
        check_bool(self, learned=self.learned)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        return TensorType(self.shape)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return self.stored_shapes() if self.learned else {}

    def stored_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return {"value": self.shape}

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Window(), Window())

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.Constant(self.shape, self.learned)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls((8,)), ()), Sample(cls((1, 3, 1, 1), learned=False), ()), Sample(cls(()), ()))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"shape": (3, 0)}, (), "shape", (3, 0)),
            BadSample({"shape": 2.5}, (), "shape", 2.5),
            BadSample({"shape": 8, "learned": 1}, (), "learned", 1),
            BadSample({"shape": 8}, (TensorType((8,)),), "inputs", 1),
        )
