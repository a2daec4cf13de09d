"""An ONNX model in memory, opened with the care that a file from elsewhere needs.

Nothing here is trusted: sizes are checked before memory is asked for, and weights kept in other files are read only
from the folder of the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, inliner, numpy_helper

from convsmith.errors import ModelError, one_line

_LARGEST: Final = 2**31 - 1
"""Bytes that protobuf can hold."""

OLDEST_OPSET: Final = 7


@dataclass(frozen=True, eq=False)
class Source:
    """An opened model.

    Attributes:
        model: The model.
        name: What to call it.
        folder: Where its external data lies; None where it came from memory.
        opset: Version of the standard operators.
    """

    model: ModelProto
    name: str
    folder: Path | None
    opset: int

    def array(self, tensor: TensorProto) -> NDArray[Any]:
        """The numbers of a stored tensor.

        Raises:
            ModelError: If they are not there or do not fit its shape.
        """
        try:
            if min(tensor.dims, default=0) < 0:
                raise ValueError(f"shape {tuple(tensor.dims)}")
            external = tensor.data_location == TensorProto.EXTERNAL
            array = self._external(tensor) if external else numpy_helper.to_array(tensor)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            rule = f"the stored tensor {tensor.name!r} is damaged: {one_line(error)}"
            raise ModelError(rule, where=self.name) from error
        return array if array.dtype.isbuiltin == 1 else array.astype(np.float32)  # bfloat16 and smaller

    def _external(self, tensor: TensorProto) -> NDArray[Any]:
        told = {entry.key: entry.value for entry in tensor.external_data}
        path = self._beside(told.get("location", ""))
        dtype, shape, offset = (
            helper.tensor_dtype_to_np_dtype(tensor.data_type),
            tuple(tensor.dims),
            int(told.get("offset", 0)),
        )
        size = math.prod(shape) * dtype.itemsize
        if offset < 0 or int(told.get("length", size)) != size:
            raise ValueError(f"shape {shape}, offset {offset} and length do not fit")
        if not size:
            return np.zeros(shape, dtype)
        if offset + size > path.stat().st_size:
            raise ValueError(f"{path.name} ends before it")
        return np.memmap(path, dtype, "r", offset, shape)

    def _beside(self, location: str) -> Path:
        if self.folder is None:
            rule = "weights in other files can be read only with a path to the model"
            raise ModelError(rule, received=location, where=self.name)
        folder = self.folder.resolve()
        try:
            path = (folder / location).resolve()
        except (OSError, RuntimeError, ValueError):
            path = Path("/")
        if not location or not path.is_relative_to(folder):
            rule = "weights in other files must lie in the folder of the model"
            raise ModelError(rule, received=location, where=self.name)
        if not path.is_file():
            raise ModelError("a file with weights of the model is missing", received=location, where=self.name)
        return path


def open_source(source: Path | bytes | ModelProto) -> Source:
    """Open a model: a file, its content, or what it holds.

    Raises:
        ModelError: If it cannot be read, is no ONNX model, or is older than opset 7.
    """
    folder = source.parent if isinstance(source, Path) else None
    where = str(source) if isinstance(source, Path) else "ONNX model"
    model = source if isinstance(source, ModelProto) else _decoded(source, where)
    if not model.HasField("graph") or not model.graph.output:
        raise ModelError("must hold a graph that gives something", where=where)
    if not all(isinstance(text, str) for text in _texts(model)):  # protobuf hands on what is no UTF-8 as bytes
        raise ModelError("holds names that are no text", where=where)
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    opset = opsets.get("ai.onnx", 1)
    if opset < OLDEST_OPSET:
        rule = f"must be written for opset {OLDEST_OPSET} or later"
        raise ModelError(rule, received=opset, where=where, remedy="convert it with onnx.version_converter")
    if model.functions:
        try:
            model = inliner.inline_local_functions(model)
        except Exception as error:  # raised by C++ code
            raise ModelError(f"its functions cannot be read: {one_line(error)}", where=where) from error
    name = source.stem if isinstance(source, Path) else model.graph.name or "model"
    return Source(model, name, folder, opset)


def _texts(model: ModelProto) -> Iterator[object]:
    """Every name that is made use of."""
    graph = model.graph
    yield from (graph.name, *(entry.domain for entry in model.opset_import))
    yield from (entry.name for entries in (graph.input, graph.output, graph.initializer) for entry in entries)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def _decoded(source: Path | bytes, where: str) -> ModelProto:
    try:
        if isinstance(source, Path):
            size = source.stat().st_size
            if size > _LARGEST:
                rule = "an ONNX file must be at most 2 GiB, its weights in files beside it"
                raise ModelError(rule, received=size, where=where)
            source = source.read_bytes()
        return ModelProto.FromString(source)
    except OSError as error:
        raise ModelError(f"cannot read the model: {error.strerror or error}", where=where) from error
    except DecodeError as error:
        raise ModelError("is no ONNX file, or a damaged one", where=where) from error


def stored_tensors(source: Source) -> Mapping[str, TensorProto]:
    """The stored tensors of the graph by name.

    Raises:
        ModelError: If they are stored in a form that is not read.
    """
    graph = source.model.graph
    if graph.sparse_initializer:
        rule = "stored tensors must not be sparse"
        raise ModelError(rule, received=graph.sparse_initializer[0].values.name, where=source.name)
    return {tensor.name: tensor for tensor in graph.initializer}
