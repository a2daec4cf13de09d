"""A network with what its door knows besides the graph: its design, and its weights where it has any."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from convsmith.design import Design, lower
from convsmith.errors import ModelError
from convsmith.interop.canonical import canonical
from convsmith.ir import Graph
from convsmith.jobs.models import open_model
from convsmith.jobs.references import is_onnx, is_python, read_reference

_WEIGHTS = "model.safetensors"
_TRAINED = "convsmith.jobs.trained"
_BYTES = (
    "the file takes bytes as (batch, height, width, channels); what is written takes the same numbers as float32, as "
    "(batch, channels, height, width)"
)


@dataclass(frozen=True, eq=False)
class Weighted:
    """A network.

    Attributes:
        graph: The network, of one image.
        weights: All that it stores; None where its door has none.
        design: The design that lowers to it, if it comes from one.
        run: The trained network of a run folder (``TrainedNetwork``).
        takes_bytes: Whether it prepares pixels of 0 to 255 itself.
        warnings: What the reader should know, a sentence each.
    """

    graph: Graph
    weights: Mapping[str, NDArray[Any]] | None
    design: Design | None = None
    run: Any = None
    takes_bytes: bool = False
    warnings: tuple[str, ...] = ()


def open_weighted(model: Any, input: tuple[int, int, int] | None = None) -> Weighted:
    """Read a network with its weights, if it has any.

    Args:
        model: As for ``inspect``.
        input: (channels, height, width) in place of the model's own.

    Raises:
        ModelError: If it cannot be read, or holds operations that are not known.
            A run is read for the images that it was trained on only.
        RunError: If a run folder is damaged.
    """
    named = isinstance(model, str | Path)
    if named and os.path.isfile(os.path.join(model, _WEIGHTS)):
        return _from_run(importlib.import_module("convsmith.jobs.run_folder").RunFolder(Path(model)), input)
    if isinstance(model, Design) or (named and not is_onnx(model) and not is_python(model)):
        design = model if isinstance(model, Design) else read_reference(model)
        return _from_design(design, input)
    reading = open_model(model, input=input)
    if reading.unknown:
        rule = "an operation is not known, and what is not understood cannot be rewritten"
        raise ModelError(rule, received=str(reading.unknown[0]), where=reading.graph.name)
    weights = reading.weights
    if weights is None and not named and not isinstance(model, Graph):
        weights = importlib.import_module(_TRAINED).own_weights(model, reading.graph)
    graph = canonical(reading.graph)
    kept = None if weights is None else {name: weights[name] for name in graph.stored_shapes}
    prepares = named and is_onnx(model) and importlib.import_module(_TRAINED).takes_bytes(Path(model))
    warnings = (*reading.warnings, *([_BYTES] if prepares else []))
    return Weighted(graph, kept, takes_bytes=prepares, warnings=warnings)


def _from_run(folder: Any, input: tuple[int, int, int] | None) -> Weighted:
    network = folder.read_network()
    if input is not None and input != network.design.input:
        remedy = "leave --input out; --larger is for what full-convolution makes of it"
        raise ModelError("a run is read for the images it was trained on", received=input, where=str(folder.path),
                         remedy=remedy)  # fmt: skip
    weights = importlib.import_module("convsmith.interop.weights").weights_of(network.module)
    return Weighted(network.graph, weights, network.design, network)


def _from_design(design: Design, input: tuple[int, int, int] | None) -> Weighted:
    design = design if input is None else design.model_copy(update={"input": input})
    return Weighted(lower(design), None, design)
