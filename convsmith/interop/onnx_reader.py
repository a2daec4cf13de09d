"""Any ONNX file as a graph with its weights, node by node, without running it.

Everything that depends on shapes and weights alone is worked out on the way; what is left are the operators that the
network's input goes through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, defs, helper

from convsmith.errors import ConvsmithError, ModelError, OpError, one_line
from convsmith.interop.canonical import canonical
from convsmith.interop.onnx_call import Array, Call, Operand, Reader, Unsupported, readable
from convsmith.interop.onnx_fold import fold
from convsmith.interop.onnx_norms import join_norms
from convsmith.interop.onnx_order import kind_of, name_of, node_error, running_order
from convsmith.interop.onnx_read_ops import READERS
from convsmith.interop.onnx_source import Source, open_source, stored_tensors
from convsmith.interop.onnx_tidy import absorb_biases, nest_names, share_weights
from convsmith.interop.onnx_types import FLOATS, given_types, input_type, tensor_type
from convsmith.interop.reading import Reading, Unknown
from convsmith.interop.recorder import Recorder, Value
from convsmith.ir import Graph, TensorType
from convsmith.ops import Opaque

_VIEWS: Final = frozenset({"Cast", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that leave the numbers as they are."""

_MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What Python raises where attributes and arrays are not what ONNX says they are."""


def read_onnx(source: Path | bytes | ModelProto, *, input: tuple[int, int, int] | None = None) -> Reading:
    """The graph and the weights of an ONNX file, for one image.

    An open batch is one. Weights are named ``node.parameter``, as ``torch_module.build`` names them.

    Args:
        source: The file, its content, or what it holds.
        input: (channels, height, width) of the image, where the file leaves them open or to read it at another size.

    Raises:
        ModelError: If it is no ONNX file, is damaged, decides while it runs (If, Loop, Scan), leaves a size open that
            is not given, or cannot take the input.
    """
    opened = open_source(source)
    try:
        return _read(opened, input)
    except OpError as error:  # of a step between nodes; those of a node are told apart from what is not known
        where = f"{opened.name}: {error.where}"
        raise ModelError(error.rule, received=error.received, where=where) from error


def _read(opened: Source, size: tuple[int, int, int] | None) -> Reading:
    file, stored = opened.model.graph, stored_tensors(opened)
    reading = _File(opened, stored)
    inputs = [info for info in file.input if info.name not in stored]
    nodes = running_order(file, {*stored, *(info.name for info in inputs)}, opened.name)
    reading.read_by.update(*(node.input for node in nodes), (info.name for info in file.output))
    for info in inputs:
        reading.declare(info, *input_type(info, nodes, size, opened.name))
    for node in nodes:
        reading.read(node)
    outputs = [reading.result(info.name) for info in file.output]
    graph = reading.reader.recorder.graph(*dict.fromkeys(outputs))
    return replace(reading.finished(graph), warnings=tuple(_warnings(opened, graph)))


def _warnings(opened: Source, graph: Graph) -> Iterator[str]:
    batch = max((type.shape[0] for _, type in graph.inputs if type.rank > 1), default=1)
    if batch > 1:
        yield f"the file fixes a batch of {batch}: costs are those of {batch} images"
    if opened.opset > defs.onnx_opset_version():
        yield f"opset {opened.opset} is newer than the installed onnx knows: operators may have changed"


class _File:
    """One file on its way into a graph.

    Attributes:
        source: The file.
        stored: Its stored tensors by name.
        reader: The graph and the weights so far.
        tensors: What each tensor of the file is, as far as it is known.
        elements: Element types of tensors that are no fractions.
        read_by: Names of the tensors that something reads.
        unknown: What was not understood so far.
    """

    def __init__(self, source: Source, stored: Mapping[str, TensorProto]) -> None:
        self.source = source
        self.stored = stored
        self.reader = Reader(Recorder(source.name), source.opset)
        self.tensors: dict[str, Operand] = {}
        self.elements: dict[str, int] = {}
        self.read_by: set[str] = set()
        self.unknown: list[Unknown] = []
        self._filled: set[int] = set()

    def declare(self, info: ValueInfoProto, type: TensorType, last: bool) -> None:
        """Note an input of the network; ``last`` if the file has its channels last."""
        name = readable(info.name) or "input"
        self.tensors[info.name] = self.reader.recorder.input(type, name, channels_last=last)
        self.elements[info.name] = info.type.tensor_type.elem_type
        self.reader.images.add(name)

    def operand(self, name: str) -> Operand | None:
        """What a tensor of the file is; None for an input that is left out."""
        if name not in self.tensors and name in self.stored:
            array = self.tensors[name] = self.source.array(self.stored[name])
            if _is_weight(array):
                self.reader.learned.add(id(array))
        return self.tensors.get(name)

    def result(self, name: str) -> Value:
        """A result of the network."""
        operand = self.operand(name)
        if operand is None:
            raise ModelError("nothing gives a result of the network", received=name, where=self.source.name)
        return operand if isinstance(operand, Value) else self.reader.constant(operand, readable(name) or "output")

    def read(self, node: NodeProto) -> None:
        """Read one node, whose inputs are known."""
        count = len(self.reader.recorder.nodes)
        try:
            results = self._results(node)
        except Unsupported as error:
            results = self._opaque(node, count, str(error))
        except OpError as error:
            results = self._opaque(node, count, error.rule, error)
        except ConvsmithError:
            raise
        except _MALFORMED as error:
            raise node_error(self.source.name, node, f"is no valid ONNX: {one_line(error)}") from error
        for name, result in zip(node.output, results, strict=False):
            if result is not None:
                self.tensors[name] = result

    def _results(self, node: NodeProto) -> Iterable[Operand | None]:
        kind = kind_of(node)
        inputs = tuple(self.operand(name) for name in node.input)
        attributes = {attribute.name: self._attribute(attribute) for attribute in node.attribute}
        read = tuple(name in self.read_by for name in node.output)
        call = Call(self.reader, name_of(node), inputs, tuple(node.input), attributes, read)
        if not any(isinstance(operand, Value) for operand in inputs):
            known = fold(kind, call)
            if known is not None:
                self._note_origin(kind, inputs, known)
                return known
        reader = READERS.get(kind)
        if reader is None or not inputs:
            raise Unsupported
        result = reader(call)
        return result if isinstance(result, tuple) and not isinstance(result, Value) else (result,)

    def _note_origin(self, kind: str, inputs: tuple[Operand | None, ...], results: tuple[Array, ...]) -> None:
        """Remember which results are made from stored fractions.

        An array filled with one number stands for such where it is used as it is, not where it is computed with.
        """
        learned, filled = self.reader.learned, self._filled
        sources = [id(operand) for operand in inputs if id(operand) in learned]
        fresh = kind == "ConstantOfShape"
        if not (fresh or (kind == "Constant" and _is_weight(results[0])) or sources):
            return
        if fresh or (sources and filled.issuperset(sources)):
            if not fresh and kind not in _VIEWS:
                return
            filled.update(map(id, results))
        learned.update(map(id, results))

    def _attribute(self, attribute: AttributeProto) -> Any:
        value = helper.get_attribute_value(attribute)
        return self.source.array(value) if isinstance(value, TensorProto) else value

    def _opaque(self, node: NodeProto, count: int, reason: str, cause: OpError | None = None) -> list[Operand | None]:
        """A node that no operator stands for: ONNX's own shape rule answers, and it is noted."""
        self.reader.forget(count)
        name, kind = name_of(node), kind_of(node)
        known = {source: self.operand(source) for source in node.input if source}
        operands = {source: operand for source, operand in known.items() if operand is not None}
        wanted = [output for output in node.output if output in self.read_by]
        types = given_types(node, operands, self.elements, wanted, self.source, self.reader.recorder)
        if types is None:
            where = f"{self.source.name}: {kind} {name}"
            if cause is not None:
                raise ModelError(cause.rule, received=cause.received, where=where) from cause
            rule = f"is not known{f' ({reason})' if reason else ''}, and neither is the shape of what it gives"
            raise ModelError(rule, where=where)
        self.unknown.append(Unknown(f"{kind} ({reason})" if reason else kind, name))
        values = [operand for operand in operands.values() if isinstance(operand, Value)]
        results = list[Operand | None]()
        for output in node.output:
            if output not in types:
                results.append(None)
                continue
            type = tensor_type(types[output])
            self.elements[output] = types[output].tensor_type.elem_type
            results.append(self.reader.recorder.add(Opaque(kind, type.shape, type.dtype), *values, name=name))
        return results

    def finished(self, graph: Graph) -> Reading:
        """The reading of ``graph``."""
        graph, weights = absorb_biases(graph, self.reader.weights)
        graph, weights = nest_names(*share_weights(*join_norms(canonical(graph), weights)))
        arrays = {f"{node}.{name}": array for node, own in weights.items() for name, array in own.items()}
        for name, shape in graph.param_shapes.items():
            if arrays[name].shape != shape:
                rule = f"the stored tensor of {name} must have the shape {shape}"
                raise ModelError(rule, received=arrays[name].shape, where=self.source.name)
        unused = {
            name: tuple(tensor.dims)
            for name, tensor in self.stored.items()
            if name not in self.tensors and tensor.data_type in FLOATS and tensor.dims
        }
        return Reading(graph, arrays, unused, tuple(self.unknown))


def _is_weight(array: Array) -> bool:
    """Whether a stored array is more than a single number, and of fractions."""
    return array.dtype.kind == "f" and array.size > 1
