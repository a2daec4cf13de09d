"""Networks with weights, whichever door they come through, ready to be looked into."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from convsmith.data import Normalisation, Pixels, Unreadable, read_image
from convsmith.data.listing import shown
from convsmith.errors import DataError, GraphError, ModelError
from convsmith.interop.torch_module import build
from convsmith.interop.weights import load_weights
from convsmith.ir import Graph
from convsmith.jobs.models import open_model
from convsmith.jobs.preparation import Preparation
from convsmith.jobs.references import is_onnx
from convsmith.jobs.run_folder import RunFolder
from convsmith.quantities import format_shape
from convsmith.training.batches import as_nchw

_UNTRAINED: Final = "give a run folder, an ONNX file, or a torch.nn.Module from Python"
_WHITE: Final = 255.0
_UINT8: Final = 2  # of ONNX's TensorProto, which a run folder has no need to load


@dataclass(frozen=True, eq=False)
class Trained:
    """A network with its weights.

    Attributes:
        name: What it was asked for by.
        graph: Its graph, of one image.
        module: What computes it, in evaluation mode.
        classes: Names of its classes, or nothing where they are not known.
        preparation: From a picture file to its input.
        notes: What a reader of the figures should know.
    """

    name: str
    graph: Graph
    module: nn.Module
    classes: tuple[str, ...]
    preparation: Preparation
    notes: tuple[str, ...] = ()

    def tensor(self, pixels: Pixels) -> Tensor:
        """Pixels (N, H, W, C) at the network's resolution as its input (N, C, H, W)."""
        return self.preparation.normalisation.apply(as_nchw(np.asarray(pixels)).float()).contiguous()

    def class_name(self, number: int) -> str:
        """What a class is called."""
        return self.classes[number] if number < len(self.classes) else str(number)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture file as a person sees it and as a network does.

    Attributes:
        path: The file.
        native: Its own pixels (H, W, C).
        pixels: What the network sees, (resolution, resolution, C).
    """

    path: str
    native: NDArray[np.uint8]
    pixels: NDArray[np.uint8]


def open_trained(model: Any, input: tuple[int, int, int] | None = None) -> Trained:
    """A network with weights.

    Args:
        model: A finished run folder, an ONNX file, or a ``torch.nn.Module``. One that is no run is given pixels from
            0 to 1, unless it takes bytes.
        input: (channels, height, width), where a file leaves them open, or of a module that takes no 3 x 224 x 224.

    Raises:
        RunError: If a folder is not a finished run.
        ModelError: If a run is given an input, there are no weights, or the network cannot be built or takes no square
            image.
    """
    if isinstance(model, str | Path) and os.path.isdir(model):
        found = RunFolder(Path(model)).read_network()
        if input is not None:
            rule = "a run knows what its network takes"
            raise ModelError(rule, received=format_shape(input), where=str(model), remedy="leave --input out")
        return Trained(str(model), found.graph, found.module, found.classes, found.preparation)
    reading = open_model(model, input=input)
    name = reading.graph.name
    weights: Mapping[str, Any] | None = reading.weights
    if isinstance(model, nn.Module):
        weights = own_weights(model, reading.graph)
    if weights is None:
        rule = "the network has no weights, so there is nothing that it sees"
        raise ModelError(rule, where=name, remedy=_UNTRAINED)
    if reading.unknown:
        raise ModelError(f"an operation is not known: {reading.unknown[0]}", where=name)
    try:
        module = build(reading.graph)
    except GraphError as error:
        raise ModelError(f"the network cannot be built: {error.rule}", where=name) from error
    load_weights(module, weights)
    prepares = isinstance(model, str | Path) and is_onnx(model) and takes_bytes(Path(model))
    note = "" if prepares else "it is no run, so pixels are given from 0 to 1"
    preparation = _plain_preparation(reading.graph, 1.0 if prepares else _WHITE)
    return Trained(str(model) if isinstance(model, str | Path) else name, reading.graph, module.eval(), (), preparation,
                   (note,) if note else ())  # fmt: skip


def read_picture(trained: Trained, path: str | Path) -> Picture:
    """A picture file, prepared as the images were that the network learnt from.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        square = trained.preparation.read(Path(path))
        native = read_image(path)
    except Unreadable as error:
        remedy = "give a JPEG, PNG, WEBP, BMP, GIF or TIFF file"
        raise DataError(f"not a readable picture: {error.reason}", where=shown(path), remedy=remedy) from error
    return Picture(str(path), native, trained.preparation.resample(square[None])[0])


def own_weights(module: nn.Module, graph: Graph) -> dict[str, Any]:
    """The weights of a torch module by the names that its graph has for them."""
    state = module.state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    missing = [name for name, shape in graph.stored_shapes.items() if shapes.get(name) != shape]
    if missing:
        rule = "the module keeps its weights in another form than the graph that was read from it"
        raise ModelError(rule, received=missing[0], where=graph.name, remedy="export it to ONNX and give the file")
    return {name: state[name].numpy(force=True) for name in graph.stored_shapes}


def takes_bytes(path: Path) -> bool:
    """Whether an ONNX file takes pixels as bytes, as exported ones do."""
    inputs = importlib.import_module("convsmith.interop.onnx_source").open_source(path).model.graph.input
    return any(one.type.tensor_type.elem_type == _UINT8 for one in inputs)


def _plain_preparation(graph: Graph, white: float) -> Preparation:
    """Squares of the network's own size, divided by ``white``."""
    shapes = [type.shape for _, type in graph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][2] != shapes[0][3] or shapes[0][1] not in (1, 3):
        rule = "the network must take one square image of 1 or 3 channels"
        raise ModelError(rule, received=shapes[0] if len(shapes) == 1 else shapes, where=graph.name)
    _, channels, side, _ = shapes[0]
    normalisation = Normalisation((0.0,) * channels, (white,) * channels)
    return Preparation(side, channels, "squash", side, normalisation)
