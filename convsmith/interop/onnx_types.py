"""Shapes that an ONNX file states.

Those of its inputs, with what it leaves open filled in, and those of nodes that no operator here stands for, by ONNX's
own rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from onnx import NodeProto, TensorProto, TypeProto, ValueInfoProto, defs, helper, numpy_helper, shape_inference

from convsmith.errors import ModelError
from convsmith.interop.onnx_call import Operand
from convsmith.interop.onnx_source import Source
from convsmith.interop.recorder import CHANNELS_FIRST, Recorder, Value
from convsmith.ir import TensorType

FLOATS: Final[Mapping[int, str]] = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
}

_KEEPS_LAYOUT: Final = frozenset({"Add", "Cast", "Div", "Identity", "Mul", "Sub"})
"""Operators that may stand between an input and the Transpose that turns it."""

_PLACES: Final = ("channels", "height", "width")


def input_type(
    info: ValueInfoProto, nodes: Sequence[NodeProto], size: tuple[int, int, int] | None, model: str
) -> tuple[TensorType, bool]:
    """The type of an input as the graph has it, and whether the file has its channels last.

    Args:
        info: The input as the file states it.
        nodes: The nodes that run.
        size: (channels, height, width) asked for.
        model: Name of the model, for errors.

    Raises:
        ModelError: If it is no tensor, or has sizes that are open and not given.
    """
    if info.type.WhichOneof("value") != "tensor_type":
        raise ModelError("an input must be a tensor", received=info.name, where=model)
    tensor = info.type.tensor_type
    last = _is_turned(info.name, nodes)
    shape = _sizes(info, (3, 1, 2) if last else (1, 2, 3), size, model)
    # An image of whole numbers counts as one of fractions: the network turns it into such before anything else.
    dtype = FLOATS.get(tensor.elem_type) or ("float32" if len(shape) == 4 else "int64")
    return TensorType(tuple(shape[axis] for axis in CHANNELS_FIRST) if last else shape, dtype), last


def _is_turned(name: str, nodes: Sequence[NodeProto]) -> bool:
    """Whether all that reads an image moves its channels from the end to the front."""
    readers = [node for node in nodes if name in node.input]
    return bool(readers) and all(
        [list(attribute.ints) for attribute in node.attribute] == [list(CHANNELS_FIRST)]
        if node.op_type == "Transpose"
        else node.op_type in _KEEPS_LAYOUT and _is_turned(node.output[0], nodes)
        for node in readers
    )


def _sizes(
    info: ValueInfoProto, places: tuple[int, ...], size: tuple[int, int, int] | None, model: str
) -> tuple[int, ...]:
    """The sizes of an input, the batch and the image filled in; ``places`` are the axes of the image."""
    tensor = info.type.tensor_type
    dims = list(tensor.shape.dim) if tensor.HasField("shape") else [None] * 4
    told = [dim.dim_value if dim is not None and dim.dim_value > 0 else 0 for dim in dims]
    sizes = [told[0] or 1, *told[1:]] if told else []
    if len(sizes) == 4 and size is not None:
        if sizes[places[0]] not in (0, size[0]):
            rule = f"the image must have the {sizes[places[0]]} channels of input {info.name!r}"
            raise ModelError(rule, received=size, where=model)
        for place, wanted in zip(places, size, strict=True):
            sizes[place] = wanted
    if all(sizes):
        return tuple(sizes)
    called = dict(zip(places, _PLACES, strict=True)) if len(sizes) == 4 else {}
    names = ", ".join(called.get(axis, f"axis {axis}") for axis, known in enumerate(sizes) if not known)
    shown = [known or (dim.dim_param if dim is not None else "") or "?" for known, dim in zip(told, dims, strict=True)]
    remedy = "give the size of the image as (channels, height, width), such as 3x224x224"
    raise ModelError(
        f"input {info.name!r} leaves {names} open", received=shown, where=model,
        remedy=remedy if called else "set them in the file",
    )  # fmt: skip


def given_types(
    node: NodeProto,
    operands: Mapping[str, Operand],
    elements: Mapping[str, int],
    wanted: Iterable[str],
    source: Source,
    recorder: Recorder,
) -> dict[str, TypeProto] | None:
    """Types of the ``wanted`` results of a node, by ONNX's rules or as the file states them; None if one stays open.

    Args:
        node: The node.
        operands: What it reads, by name.
        elements: Element types of those that are no fractions, by name.
        wanted: Names of results.
        source: The file.
        recorder: The graph so far.
    """
    graph = source.model.graph
    stated = {info.name: info.type for info in (*graph.value_info, *graph.output)}
    inferred = _inferred(node, operands, elements, source, recorder)
    types = {name: _complete(inferred.get(name)) or _complete(stated.get(name)) for name in wanted}
    complete = {name: type for name, type in types.items() if type is not None}
    return complete if len(complete) == len(types) else None


def _inferred(
    node: NodeProto, operands: Mapping[str, Operand], elements: Mapping[str, int], source: Source, recorder: Recorder
) -> Mapping[str, TypeProto]:
    types, data = dict[str, TypeProto](), dict[str, TensorProto]()
    fractions = {name: kind for kind, name in FLOATS.items()}
    for name, operand in operands.items():
        if isinstance(operand, Value):
            kind = elements.get(name) or fractions.get(recorder.types[operand.name].dtype, TensorProto.INT64)
            types[name] = helper.make_tensor_type_proto(kind, recorder.shape(operand))
        else:
            types[name] = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(operand.dtype), operand.shape)
            if operand.size <= 64:
                data[name] = numpy_helper.from_array(np.ascontiguousarray(operand).reshape(operand.shape), name)
    try:
        schema = defs.get_schema(node.op_type, source.opset, "" if node.domain == "ai.onnx" else node.domain)
        opsets = list(source.model.opset_import)
        return shape_inference.infer_node_outputs(schema, node, types, data, opset_imports=opsets)
    except Exception:  # raised by C++ code: there is no such operator, or it does not take these
        return {}


def _complete(type: TypeProto | None) -> TypeProto | None:
    """A type whose sizes are all known, the batch apart, which is one where it is not."""
    if type is None or type.WhichOneof("value") != "tensor_type" or not type.tensor_type.HasField("shape"):
        return None
    told = [dim.dim_value for dim in type.tensor_type.shape.dim]
    sizes = [told[0] or 1, *told[1:]] if told else []
    known = all(size > 0 for size in sizes)
    return helper.make_tensor_type_proto(type.tensor_type.elem_type, sizes) if known else None


def tensor_type(type: TypeProto) -> TensorType:
    """A complete type of the file as the graph has it."""
    sizes = tuple(dim.dim_value for dim in type.tensor_type.shape.dim)
    return TensorType(sizes, FLOATS.get(type.tensor_type.elem_type, "int64"))
