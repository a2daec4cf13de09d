"""Weights that are there already, as one more candidate of a search: the network that they belong to, fine-tuned."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Final

import numpy as np

from convsmith.data import Images
from convsmith.design import Design, lower
from convsmith.errors import BudgetError, ModelError, OpError
from convsmith.interop.folded_weights import match_layers
from convsmith.interop.foreign_weights import match_weights
from convsmith.interop.onnx_reader import read_onnx
from convsmith.interop.weights import Weights, read_weights
from convsmith.jobs.references import is_onnx, read_reference
from convsmith.jobs.run_folder import RunFolder
from convsmith.scaling import Limits
from convsmith.scaling.axes import with_resolution
from convsmith.search.candidate import START, Candidate
from convsmith.search.space import Field, make_candidate, shares

_HEAD: Final = "head.classifier."
_STEP: Final = 2  # pixels
_LEAST: Final = 1 / 2  # of the side of the images


@dataclasses.dataclass(frozen=True)
class Start:
    """A network and the weights that its trainings start from.

    Attributes:
        name: The file or folder that they come from.
        design: The network for these images, at their side.
        weights: By our names, of all layers that are kept.
        notes: What was changed for these images, a sentence each.
    """

    name: str
    design: Design
    weights: Weights
    notes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Identity of the weights: 12 hex digits."""
        found = hashlib.sha256()
        for name in sorted(self.weights):
            value = self.weights[name]
            found.update(f"{name} {value.shape} {value.dtype}".encode())
            found.update(np.ascontiguousarray(value).tobytes())
        return found.hexdigest()[:12]


def read_start(source: str | Path, design: str | Path | None, images: Images) -> Start:
    """Read weights and fit their network to the images: the last layer starts anew where it has other classes.

    Args:
        source: A finished run, a safetensors file or an ONNX file.
        design: What a file belongs to: a design file, ``zoo:NAME`` or a run folder.
        images: What it shall learn.

    Raises:
        ModelError: If there are no such weights, they are not those of the design, or it takes other channels.
        RunError: If a folder is not a finished run.
        DesignError: If the design file breaks the format.
    """
    name = Path(source).name
    if os.path.isdir(source):
        network = RunFolder(Path(source)).read_network()
        own, weights = network.design, read_weights(RunFolder(Path(source)).weights)
    else:
        if design is None:
            remedy = "say it with --start-design: file.toml, zoo:NAME or a run folder"
            raise ModelError("a file of weights needs the design it belongs to", received=name, remedy=remedy)
        own = read_reference(design)
        weights = (
            _of_onnx(own, Path(source)) if is_onnx(str(source)) else _by_our_names(own, read_weights(Path(source)))
        )
    channels, height, _ = own.input
    if channels != images.channels:
        rule = f"the images have {images.channels} channels, the network of the weights takes {channels}"
        raise ModelError(rule, where=name)
    notes: list[str] = []
    classes = len(images.classes)
    if own.head.options.get("classes") != classes:
        notes.append(f"{name} was trained for {own.head.options.get('classes')} classes: its last layer starts anew")
        weights = {key: value for key, value in weights.items() if not key.startswith(_HEAD)}
    fitted = own.model_copy(update={"head": own.head.model_copy(update={"classes": classes})})
    if height != images.side:
        notes.append(f"{name} was trained at {height} px, and the images have {images.side}")
    return Start(name, with_resolution(fitted, images.side, images.side), weights, tuple(notes))


def with_start(field: Field, start: Start, limits: Limits) -> Field:
    """The field with the given network behind the rules, at the largest side of the images that meets the budget.

    One that meets it at no side of at least half theirs is left out, with the reason among ``refused``.
    """
    candidate = _within(field, start, limits)
    if isinstance(candidate, BudgetError):
        return dataclasses.replace(field, refused={**field.refused, f"{START}{start.name}": str(candidate)})
    rules = [one for one in field.candidates if one.rule]
    others = [one for one in field.candidates if not one.rule]
    ready = {start.name: candidate.key, **field.ready}
    return dataclasses.replace(field, candidates=(*rules, candidate, *others), ready=ready)


def _within(field: Field, start: Start, limits: Limits) -> Candidate | BudgetError:
    side, told = start.design.input[1], f"images of {start.design.input[1]} px shrink to nothing in it"
    for smaller in range(side, int(side * _LEAST) - 1, -_STEP):
        design = with_resolution(start.design, smaller, smaller)
        try:
            taken = limits.taken(design)
        except OpError:  # its strides make less than a pixel of it, and of all that is smaller
            break
        if taken <= 1:
            split = shares(field.base, design, 1 / limits.taken(field.base))
            made = make_candidate(design, f"{START}{start.name}", split, limits)
            key = hashlib.sha256(f"{made.key} {start.digest}".encode()).hexdigest()[:12]
            return dataclasses.replace(made, key=key, start=start.digest)
        told = f"it does not meet {limits}: at {smaller} px it costs {limits.told(design)}"
    return BudgetError(told)


def _of_onnx(design: Design, path: Path) -> Weights:
    """The arrays of an ONNX file by the names of the design."""
    channels, height, width = design.input
    try:
        reading = read_onnx(path)
    except ModelError:  # a size is left open, perhaps
        reading = read_onnx(path, input=(channels, height, width))
    if reading.unknown or reading.weights is None:
        rule = f"an operation is not known: {reading.unknown[0]}" if reading.unknown else "the file holds no weights"
        raise ModelError(rule, where=path.name)
    return match_layers(lower(design), reading.graph, reading.weights)


def _by_our_names(design: Design, weights: Weights) -> Weights:
    """The arrays of a file by the names of the design: these themselves, or others in the order of the network."""
    graph = lower(design)
    if set(graph.stored_shapes) == set(weights):
        weights = {name: weights[name] for name in graph.stored_shapes}
    return match_weights(graph, weights)
