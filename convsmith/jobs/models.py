"""The three doors: a design, a torch module or an ONNX file, by its reference or as an object, read into one graph.

What a door needs is imported when it is used: a design is read in a process that never loads torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from convsmith.design import Design, lower
from convsmith.interop.reading import Reading
from convsmith.ir import Graph
from convsmith.jobs.references import is_onnx, is_python, read_reference
from convsmith.quantities import parse_shape

_ONNX: Final = "convsmith.interop.onnx_reader"
_TORCH: Final = "convsmith.jobs.torch_models"


def open_model(model: Any, *, input: str | Sequence[int] | None = None, run: bool = False) -> Reading:
    """Read a network.

    Args:
        model: A reference (see ``references``), a design, a graph or a ``torch.nn.Module``.
        input: (channels, height, width) in place of the model's own.
        run: Compute for real where a torch module decides by numbers.

    Raises:
        ModelError: If the reference names nothing, or what it names cannot be read.
        DesignError: If a design does not fit the input.
        QuantityError: If the input is not three sizes.
    """
    if input is not None:
        channels, height, width = parse_shape(input, "input", rank=3)
        input = (channels, height, width)
    if isinstance(model, Graph):
        return Reading(model)
    if isinstance(model, str | Path):
        if is_onnx(model):
            return importlib.import_module(_ONNX).read_onnx(Path(model), input=input)
        if is_python(model):
            return importlib.import_module(_TORCH).open_reference(str(model), input=input, run=run)
        model = read_reference(model)
    if not isinstance(model, Design):
        return importlib.import_module(_TORCH).open_module(model, input=input, run=run)
    design = model if input is None else model.model_copy(update={"input": input})
    return Reading(lower(design))
