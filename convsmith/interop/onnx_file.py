"""A graph with its weights as an ONNX file that takes images as they come, and running such a file.

The file is written node by node from the graph, not traced: every tensor in it has the name that the graph gives it,
every shape is the graph's own and is checked against ONNX's inference, and the batch is left open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata as packages
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, checker, helper, shape_inference

from convsmith.errors import ModelError, OpError, one_line
from convsmith.files import write_atomically
from convsmith.interop.mismatch import check_weights
from convsmith.interop.onnx_draft import OnnxDraft, Writing
from convsmith.interop.onnx_ops import OPSET, write_node
from convsmith.interop.onnxruntime import onnxruntime
from convsmith.ir import Graph

BATCH: Final = "batch"
PIXELS: Final = "pixels"
LOGITS: Final = "logits"


@dataclass(frozen=True, eq=False)
class Preprocess:
    """What turns the pixels of images into the input of a network, as part of the file.

    Attributes:
        mean: Per channel, in 0 to 255.
        std: Per channel, in 0 to 255.
        resample: Matrices A (H, height of the images) and B (W, width of the images), float32. Each channel X becomes
            ``A X Bᵀ``, rounded half to even and cut to 0 to 255, before it is normalised.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    resample: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None


def write_onnx(
    graph: Graph,
    weights: Mapping[str, NDArray[Any]],
    path: Path,
    *,
    preprocess: Preprocess | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write the network, as it is in use, to an ONNX file.

    The input is the graph's, float32 (batch, C, H, W), or with ``preprocess`` ``pixels``, uint8 (batch, H, W, C) as
    image libraries deliver them. A single output is called ``logits``; several keep their names.

    Args:
        graph: The network.
        weights: All parameters and running statistics by name, as ``weights_of`` gives them.
        path: The file.
        preprocess: What to do to pixels first.
        metadata: Text stored in the file.

    Raises:
        ModelError: If an operator has no form in ONNX, weights do not fit, or names clash.
        RunError: If the file cannot be written.
    """
    content = onnx_content(graph, weights, preprocess=preprocess, metadata=metadata)
    return write_atomically(path, lambda target: target.write_bytes(content))


def onnx_content(
    graph: Graph,
    weights: Mapping[str, NDArray[Any]],
    *,
    preprocess: Preprocess | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """What ``write_onnx`` writes. Its length does not depend on the values of the weights.

    Raises:
        ModelError: If an operator has no form in ONNX, weights do not fit, or names clash.
    """
    return _model(graph, weights, preprocess, metadata or {}).SerializeToString(deterministic=True)


def run_onnx(model: Path | str | bytes, *, threads: int = 1) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """A model of one input and one output in onnxruntime on the CPU, as a function from the one to the other.

    Raises:
        ModelError: If it cannot be loaded; the result raises it for an array that the model does not take.
    """
    session, where = open_session(model, threads=threads), _place(model)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if (len(inputs), len(outputs)) != (1, 1):
        raise ModelError("must have one input and one output", received=(len(inputs), len(outputs)), where=where)

    def run(array: NDArray[Any]) -> NDArray[np.float32]:
        try:
            return session.run(None, {inputs[0].name: array})[0]  # pyright: ignore[reportReturnType]
        except Exception as error:
            raise ModelError(f"onnxruntime cannot run it: {one_line(error)}", where=where) from error

    return run


def open_session(
    model: Path | str | bytes, *, threads: int = 1, profile: Path | None = None, optimized: Path | None = None
) -> onnxruntime.InferenceSession:
    """Load a model into onnxruntime on the CPU.

    Args:
        model: A file or its content.
        threads: Threads that a kernel may use; kernels run one after the other.
        profile: How the name of the file begins that times every kernel until ``end_profiling``; None for no such file.
        optimized: Where to write the graph that onnxruntime makes of the model.

    Raises:
        ModelError: If it cannot be loaded.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only; they are raised as well
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    content = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes have no common base
        raise ModelError(f"onnxruntime cannot load it: {one_line(error)}", where=_place(model)) from error


def _place(model: Path | str | bytes) -> str:
    return "ONNX model" if isinstance(model, bytes) else str(model)


def _model(
    graph: Graph, weights: Mapping[str, NDArray[Any]], preprocess: Preprocess | None, metadata: Mapping[str, str]
) -> ModelProto:
    check_weights(graph.stored_shapes, weights)
    draft, shapes = OnnxDraft(), _open_shapes(graph)
    for name in graph.stored_shapes:
        places = weights[name].dtype.kind == "i"
        draft.store(name, np.asarray(weights[name], np.int64 if places else np.float32))
    inputs = [_info(name, shapes[name]) for name, _ in graph.inputs]
    tensors = {name: name for name, _ in graph.inputs}
    if preprocess is not None:
        inputs, tensors = _write_preprocess(graph, preprocess, draft)
    for node in graph.nodes:
        read = tuple(tensors[value] for value in node.inputs)
        tensors[node.name] = write_node(Writing(node, graph.input_types(node), read, draft))
    outputs = [_write_output(graph, value, tensors[value], shapes[value], draft) for value in graph.outputs]
    named = {info.name for info in outputs}
    written = {output for node in draft.nodes for output in node.output} - named
    values = [_info(node.name, shapes[node.name]) for node in graph.nodes if node.name in written]
    drawing = helper.make_graph(draft.nodes, graph.name, inputs, outputs, draft.tensors, value_info=values)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(
        drawing,
        opset_imports=[opset],
        ir_version=helper.find_min_ir_version_for([opset]),
        producer_name="convsmith",
        producer_version=packages.version("convsmith"),
    )
    helper.set_model_props(model, dict(metadata))
    return _checked(graph, model)


def _open_shapes(graph: Graph) -> Mapping[str, list[int | str | None]]:
    """Shapes of all values with the batch left open: what one image more changes.

    A network that takes no other batch keeps its own.
    """
    batch = graph.inputs[0][1].shape[0] if graph.inputs else 0
    more = [
        type.with_shape(batch + 1, *type.shape[1:]) if type.shape[:1] == (batch,) else type for _, type in graph.inputs
    ]
    try:
        others = graph.with_inputs(*more).types
    except OpError:
        others = graph.types
    return {
        name: [
            size if size == other else BATCH if (size, other) == (batch, batch + 1) else None
            for size, other in zip(type.shape, others[name].shape, strict=True)
        ]
        for name, type in graph.types.items()
    }


def _checked(graph: Graph, model: ModelProto) -> ModelProto:
    """The model with the shape of every tensor, if ONNX agrees with the graph about all of them."""
    try:
        checker.check_model(model, full_check=True)
        return shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise ModelError(f"the graph is no valid ONNX model: {one_line(error)}", where=graph.name) from error


def _info(name: str, shape: list[int | str | None]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _write_output(
    graph: Graph, value: str, tensor: str, shape: list[int | str | None], draft: OnnxDraft
) -> ValueInfoProto:
    name = LOGITS if len(graph.outputs) == 1 else value
    if tensor != name:
        draft.add(name, "Identity", tensor)
    return _info(name, shape)


def _write_preprocess(
    graph: Graph, preprocess: Preprocess, draft: OnnxDraft
) -> tuple[list[ValueInfoProto], dict[str, str]]:
    """Write the way from pixels to the network's input; return the file's input and where the network finds its own."""
    (name, type), *others = graph.inputs
    _, channels, height, width = type.shape
    _check_preprocess(graph, preprocess, len(others))
    value = draft.add("preprocess.channels_first", "Transpose", PIXELS, perm=(0, 3, 1, 2))
    value = draft.add("preprocess.float", "Cast", value, to=TensorProto.FLOAT)
    if preprocess.resample is not None:
        rows, columns = (np.asarray(matrix, np.float32) for matrix in preprocess.resample)
        height, width = rows.shape[1], columns.shape[1]
        value = draft.add("preprocess.rows", "MatMul", draft.store("preprocess.rows.matrix", rows), value)
        across = draft.store("preprocess.columns.matrix", np.ascontiguousarray(columns.T))
        value = draft.add("preprocess.columns", "MatMul", value, across)
        value = draft.add("preprocess.round", "Round", value)
        limits = (
            draft.store(f"preprocess.{side}", np.asarray(at, np.float32)) for side, at in (("black", 0), ("white", 255))
        )
        value = draft.add("preprocess.clip", "Clip", value, *limits)
    mean, std = (
        draft.store(f"preprocess.{part}", np.asarray(values, np.float32).reshape(1, channels, 1, 1))
        for part, values in (("mean", preprocess.mean), ("std", preprocess.std))
    )
    value = draft.add(name, "Div", draft.add("preprocess.centred", "Sub", value, mean), std)
    pixels = helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, [BATCH, height, width, channels])
    return [pixels], {name: value}


def _check_preprocess(graph: Graph, preprocess: Preprocess, others: int) -> None:
    _, channels, *size = graph.inputs[0][1].shape
    where = f"{graph.name}: preprocess"
    if others:
        raise ModelError("needs a network of one input", received=1 + others, where=where)
    if not len(preprocess.mean) == len(preprocess.std) == channels:
        raise ModelError(
            f"mean and std must have {channels} values each", received=(preprocess.mean, preprocess.std), where=where
        )
    if min(preprocess.std) <= 0:
        raise ModelError("std must be positive", received=preprocess.std, where=where)
    made = [len(matrix) for matrix in preprocess.resample or ()]
    if made and made != size:
        raise ModelError(f"resample must give the network's {size[0]}×{size[1]} pixels", received=made, where=where)
