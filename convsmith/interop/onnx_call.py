"""One node of an ONNX file on its way into a graph, and the state of the reading it belongs to.

A tensor of the file is either a value of the graph, because it depends on the network's input, or an array that is
known already: a weight, or numbers that follow from shapes alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.interop.recorder import CHANNELS_FIRST, Recorder, Value, beside
from convsmith.ir import Op, Shape
from convsmith.ops import Constant, Flatten, Reshape

Array = NDArray[Any]
Operand = Value | Array
Result = Operand | tuple[Operand | None, ...]


class Unsupported(Exception):
    """A node is valid ONNX and says something that no operator here says."""


@dataclass(frozen=True, eq=False)
class Reader:
    """The state of one reading.

    Attributes:
        recorder: The graph so far.
        opset: Version of the standard operators.
        weights: Stored arrays by node and by the name that the operator gives them.
        constants: Arrays that are values already, by ``id`` and shape; the array keeps its id taken.
        learned: Ids of the arrays that are, or are made from, fractions that the file stores.
        images: Names of the network's inputs, and of what arithmetic with constants makes of them.
    """

    recorder: Recorder
    opset: int
    weights: dict[str, dict[str, Array]] = field(default_factory=dict[str, dict[str, Array]])
    constants: dict[tuple[int, Shape], tuple[Value, Array]] = field(default_factory=dict)
    learned: set[int] = field(default_factory=set[int])
    images: set[str] = field(default_factory=set[str])

    def constant(self, array: Array, name: str, *, channels_last: bool = False, learned: bool = True) -> Value:
        """An array as a value, made once; beside a map that its source sees with channels last, in the graph's order.

        What follows from shapes alone is not learned, nor is a mask, an array of two numbers.
        """
        shaped = array
        if channels_last and array.ndim:
            shaped = array.reshape(beside(array.shape)).transpose(CHANNELS_FIRST)
        key = (id(array), shaped.shape)
        if key not in self.constants:
            learned = learned and id(array) in self.learned and not _is_mask(array)
            value = self.recorder.add(Constant(shaped.shape, learned), name=name)
            self.weights[value.name] = {"value": np.asarray(shaped, _float(array))}
            self.constants[key] = (value, array)
        value, _ = self.constants[key]
        return Value(value.name, channels_last)

    def forget(self, count: int) -> None:
        """Take back every node after the first ``count``, with its weights."""
        for node in self.recorder.nodes[count:]:
            self.weights.pop(node.name, None)
            del self.recorder.types[node.name]
        del self.recorder.nodes[count:]
        gone = [key for key, (value, _) in self.constants.items() if value.name not in self.recorder.types]
        for key in gone:
            del self.constants[key]


@dataclass(frozen=True, eq=False)
class Call:
    """One node of the file.

    Attributes:
        reader: The reading it belongs to.
        name: Its name in the graph.
        inputs: What it reads; None where an optional input is left out.
        sources: Names of those tensors in the file.
        attributes: Its attributes.
        outputs: For each of its results, whether anything reads it.
    """

    reader: Reader
    name: str
    inputs: tuple[Operand | None, ...]
    sources: tuple[str, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[bool, ...]

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return self.reader.opset

    @property
    def of_image(self) -> bool:
        """Whether all values it reads are the network's inputs, or scaled and shifted such."""
        values = [operand for operand in self.inputs if isinstance(operand, Value)]
        return bool(values) and all(value.name in self.reader.images for value in values)

    def operand(self, place: int) -> Operand | None:
        """An input that may be left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def value(self, place: int = 0) -> Value:
        """An input as a value of the graph."""
        operand = self.inputs[place]
        if operand is None:
            raise ValueError(f"input {place} is missing")
        return operand if isinstance(operand, Value) else self.reader.constant(operand, self.source(place))

    def source(self, place: int) -> str:
        """Name of an input in the file, made readable."""
        return readable(self.sources[place]) or self.name

    def array(self, place: int, what: str) -> Array | None:
        """An input that is known, or left out.

        Raises:
            Unsupported: If it depends on the network's input.
        """
        operand = self.operand(place)
        if isinstance(operand, Value):
            raise Unsupported(f"{what} computed by the network")
        return operand

    def needed(self, place: int, what: str) -> Array:
        """An input that is known.

        Raises:
            Unsupported: If it depends on the network's input.
        """
        array = self.array(place, what)
        if array is None:
            raise ValueError(f"{what} is missing")
        return array

    def ints(self, name: str, place: int | None = None) -> tuple[int, ...] | None:
        """Integers from an attribute, or from the input that took its place in later opsets; None if left out."""
        if name in self.attributes:
            value = self.attributes[name]
            return tuple(value) if isinstance(value, list | tuple) else (int(value),)
        array = None if place is None else self.array(place, name)
        return None if array is None else tuple(int(number) for number in array.reshape(-1))

    def number(self, name: str, default: float) -> float:
        """A number from an attribute."""
        return shortest(self.attributes.get(name, default))

    def text(self, name: str, default: str) -> str:
        """Text from an attribute."""
        value = self.attributes.get(name, default.encode())
        return value.decode("utf-8", "replace")

    def shape(self, operand: Operand) -> Shape:
        """Shape of an operand as the file sees it."""
        return self.reader.recorder.shape(operand) if isinstance(operand, Value) else operand.shape

    def axis(self, value: Value, axis: int) -> int:
        """The graph's axis for an axis of the file, which may be negative.

        Raises:
            IndexError: If there is no such axis.
        """
        rank = len(self.shape(value))
        if not -rank <= axis < rank:
            raise IndexError(f"axis {axis} of a value with {rank} axes")
        return self.reader.recorder.axis(value, axis)

    def only_result(self) -> None:
        """Refuse a node whose second or later results are read.

        Raises:
            Unsupported: If they are.
        """
        if any(self.outputs[1:]):
            raise Unsupported("its second result is read")

    def add(self, op: Op, *values: Value, part: str = "", on_map: bool = False) -> Value:
        """Append a node.

        Args:
            op: The operator.
            values: What it reads.
            part: Added to the name, for a step towards the result.
            on_map: Whether it reads maps as the graph keeps them, see ``Recorder.add_on_map``.
        """
        recorder = self.reader.recorder
        add = recorder.add_on_map if on_map else recorder.add
        return add(op, *values, name=f"{self.name}_{part}" if part else self.name)

    def layer(self, op: Op, value: Value, *, on_map: bool = False, part: str = "", **weights: Array | None) -> Value:
        """Append a node with stored weights, by the names that the operator gives them."""
        result = self.add(op, value, on_map=on_map, part=part)
        self.reader.weights[result.name] = {name: array for name, array in weights.items() if array is not None}
        return result

    def pointwise(self, op: Op, place: int = 0, part: str = "") -> Value:
        """Append a node that treats every element alike."""
        return self.add(op, self.value(place), part=part, on_map=True)

    def reshape(self, value: Value, shape: Shape, part: str = "") -> Value:
        """The value in another shape, as the file sees both."""
        before = self.shape(value)
        if shape == before:
            return value
        if value.channels_last and (before[1:3] == (1, 1) or before[3] == 1):
            value = Value(value.name)  # the elements are in the same order either way
        if len(shape) == 2 and len(before) > 1 and shape[0] == before[0]:
            return self.add(Flatten(), value, part=part)
        return self.add(Reshape((-1, *shape[1:])), value, part=part)

    def permute(self, value: Value, axes: tuple[int, ...], part: str = "") -> Value:
        """The value with its axes in another order."""
        if sorted(axes) != list(range(len(self.shape(value)))):
            raise ValueError(f"axes {axes} of shape {self.shape(value)}")
        return self.reader.recorder.permute(value, axes, name=f"{self.name}_{part}" if part else self.name)


def readable(name: str) -> str:
    """A name of the file as a path of dots: ``/layer1/layer1.0/Conv`` is ``layer1.layer1.0.Conv``."""
    return re.sub(r"\.{2,}", ".", re.sub(r"[^\w.:-]", "_", name.replace("/", "."))).strip(".")


def shortest(value: Any) -> float:
    """A number that is stored in 32 bits, as one would write it: 1e-05 and not 9.999999747378752e-06."""
    number = float(value)
    return float(str(np.float32(number))) if float(np.float32(number)) == number else number


def _is_mask(array: Array) -> bool:
    if array.size <= 8:
        return False
    low, high = array.min(), array.max()
    return bool(low != high and ((array == low) | (array == high)).all())


def _float(array: Array) -> Any:
    return array.dtype if array.dtype.kind == "f" else np.float32
