"""The questions every operator answers about itself. Everything else in the package asks; nobody guesses."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from convsmith.errors import OpError
from convsmith.ir.terms import Terms
from convsmith.ir.types import TensorType
from convsmith.ir.window import Spread, Window

Shape = tuple[int, ...]
AxisRead = Window | Spread
Kept = Literal["inputs", "output", "nothing"]


@dataclass(frozen=True)
class Sample:
    """An operator with input types it accepts."""

    op: Op
    types: tuple[TensorType, ...]


@dataclass(frozen=True)
class BadSample:
    """Attributes and input types that must be refused, with what the message has to name."""

    attrs: Mapping[str, Any]
    types: tuple[TensorType, ...]
    attribute: str
    value: object


class Op(ABC):
    """One operator: a final, frozen dataclass whose fields are its attributes, with one output value."""

    arity: ClassVar[int | None] = 1
    """Number of inputs; None where it varies, which is two or more unless the operator says otherwise."""

    @abstractmethod
    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output.

        Raises:
            OpError: If the operator cannot take these inputs.
        """

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        """Shape of every learned parameter, by the name that torch gives it."""
        return {}

    def stored_shapes(self, *types: TensorType) -> dict[str, Shape]:
        """Shape of every array that is kept: the parameters, and what training sets otherwise or leaves alone."""
        return self.param_shapes(*types)

    def keeps(self) -> Kept:
        """Which values its gradient needs, as torch keeps them for a backward pass; nothing where no work is done."""
        return "inputs"

    @abstractmethod
    def terms(self, *types: TensorType) -> Terms:
        """Exact work on these inputs."""

    @abstractmethod
    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        """What one output position reads along height and width, the last two axes of a value with four or more."""

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any | None:
        """The map as a sparse matrix on the flattened input, or None where it is not linear.

        Shape is ``(outputs, inputs)`` as a ``scipy.sparse`` CSR array. A bias is left out: it is not linear.
        """
        return None

    @abstractmethod
    def to_torch(self) -> Any:
        """The same operator as a fresh ``torch.nn.Module``."""

    @classmethod
    @abstractmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Small instances that cover the attributes, for the conformance checks and for documentation."""

    @classmethod
    @abstractmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        """Instances that must be refused."""

    def attrs(self) -> dict[str, Any]:
        """The attributes that differ from their defaults, in declaration order."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)  # type: ignore[arg-type]  # every concrete op is a dataclass
            if getattr(self, field.name) != field.default
        }

    def require(self, condition: bool, rule: str, attribute: str, value: object) -> None:
        """Refuse ``value`` of ``attribute`` unless ``condition`` holds.

        Raises:
            OpError: With the operator, the attribute, the rule and the value.
        """
        if not condition:
            raise OpError(f"{attribute} {rule}", received=value, where=type(self).__name__)

    def check_inputs(self, types: tuple[TensorType, ...]) -> None:
        """Refuse a wrong number of inputs.

        Raises:
            OpError: If the count differs from ``arity``.
        """
        expected = "at least 2" if self.arity is None else str(self.arity)
        holds = len(types) >= 2 if self.arity is None else len(types) == self.arity
        self.require(holds, f"must be {expected}", "inputs", len(types))

    def check_map(self, type: TensorType) -> None:
        """Refuse an input that is not a ``(batch, channels, height, width)`` map.

        Raises:
            OpError: If it has another number of axes.
        """
        self.require(type.is_map, "must be a (batch, channels, height, width) map", "input", type.shape)
