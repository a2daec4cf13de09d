"""A network made fully convolutional, on a photograph larger than its images: a score for every window at once."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convsmith.analysis import receptive_fields
from convsmith.data import Normalisation, Unreadable, convert_channels, read_image
from convsmith.data.listing import shown
from convsmith.errors import DataError, ModelError
from convsmith.files import write_atomically
from convsmith.jobs.rewrite import Rewriting
from convsmith.ops import Softmax
from convsmith.report.score_map import draw_score_map
from convsmith.training.metrics import log_probabilities

_TIMES: Final = 2
"""How much longer the shorter side of a photograph is than the network's image, unless asked otherwise."""
_WHITE: Final = 255.0
_MOST: Final = 64_000_000
"""Most pixels of a photograph that a network is run on."""


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """What a network says of every place of a photograph.

    Attributes:
        pixels: The photograph as the network saw it, uint8 (H, W, C).
        probabilities: float64 (classes, rows, columns); over the classes they add up to one in every place.
        classes: Their names; their numbers where they are not known.
        label: Number of the class that is shown.
        centers: Where the window of the first place has its middle, (row, column) of pixels.
        steps: Pixels from one place to the next, down and across.
        window: Height and width of the network's own image, which is what a place is about.
    """

    pixels: NDArray[np.uint8]
    probabilities: NDArray[np.float64]
    classes: tuple[str, ...]
    label: int
    centers: tuple[float, float]
    steps: tuple[float, float]
    window: tuple[int, int]

    @property
    def best(self) -> tuple[int, int]:
        """Row and column of the place where the shown class is likeliest."""
        _, columns = self.probabilities.shape[1:]
        row, column = divmod(int(self.probabilities[self.label].argmax()), columns)
        return row, column

    def to_dict(self) -> dict[str, Any]:
        """The ``score_map`` of ``--json``."""
        shares = self.probabilities[self.label]
        return {
            "image": list(self.pixels.shape[:2]),
            "places": list(shares.shape),
            "label": self.classes[self.label],
            "highest": float(shares.max()),
            "at": list(self.best),
            "probabilities": shares.tolist(),
        }

    def write(self, path: str | Path) -> Path:
        """Draw the photograph, and beside it the probability of the class in every place, as a PNG file.

        Raises:
            RunError: If it cannot be written.
        """
        content = draw_score_map(
            self.pixels,
            self.probabilities[self.label],
            place=self.best,
            centers=self.centers,
            steps=self.steps,
            window=self.window,
            title=f"how likely each window shows class {self.classes[self.label]}",
        )
        return write_atomically(Path(path), lambda target: target.write_bytes(content))


def score_map(
    rewriting: Rewriting,
    photograph: str | Path,
    *,
    size: tuple[int, int] | None = None,
    label: str | int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> ScoreMap:
    """Run a network that was rewritten by ``full-convolution`` on a whole photograph.

    Args:
        rewriting: What ``rewrite`` gave.
        photograph: A picture file.
        size: Height and width to bring the photograph to; by default its shorter side becomes twice the network's.
        label: The class to show, by name or number; by default the likeliest of all places.
        mean: Per channel, in 0 to 255, what the network's input has subtracted; of a run its own.
        std: Per channel, what it is divided by; of a network that neither is a run nor prepares pixels itself, 255.

    Raises:
        DataError: If the photograph cannot be read, or there is no such class.
        ModelError: If the network does not take images of this size, or gives no map of scores.
    """
    (_, type), *_ = rewriting.graph.inputs
    _, channels, *own = type.shape
    pixels = _read(photograph, channels, size, (own[0], own[1]))
    graph = rewriting.on((channels, *pixels.shape[:2]))
    result = graph.types[graph.outputs[0]]
    if len(graph.outputs) != 1 or not result.is_map:
        rule = "only a network with one result that is a map gives a map of scores"
        raise ModelError(rule, received=result.shape, where=graph.name, remedy="rewrite it by full-convolution")
    normalisation = _normalisation(rewriting, channels, mean, std)
    scores = importlib.import_module("convsmith.jobs.rewrite_proof").run_on(
        graph, rewriting.weights, pixels, normalisation
    )
    ends = graph.node(graph.outputs[0]).op if graph.outputs[0] not in dict(graph.inputs) else None
    shares = scores if isinstance(ends, Softmax) else _shares(scores)
    classes = _classes(rewriting, len(shares))
    number = _number(label, classes, shares, graph.name)
    field = receptive_fields(graph)[graph.outputs[0]]
    axes = (field.height, field.width)
    centers, steps = (tuple(float(getattr(axis, key)) for axis in axes) for key in ("center", "jump"))
    return ScoreMap(pixels, shares, classes, number, (centers[0], centers[1]), (steps[0], steps[1]), (own[0], own[1]))


def _read(path: str | Path, channels: int, size: tuple[int, int] | None, own: tuple[int, int]) -> NDArray[np.uint8]:
    try:
        found = convert_channels(read_image(path), channels)
    except Unreadable as error:
        remedy = "give a JPEG, PNG, WEBP, BMP, GIF or TIFF file"
        raise DataError(f"not a readable picture: {error.reason}", where=shown(path), remedy=remedy) from error
    height, width = found.shape[:2]
    if size is None:
        factor = max(_TIMES * own[0] / height, _TIMES * own[1] / width)
        size = (round(height * factor), round(width * factor))
    if size[0] * size[1] > _MOST:
        remedy = "give a smaller size with --larger"
        raise DataError(f"a photograph must have at most {_MOST:,} pixels here", received=size, where=shown(path),
                        remedy=remedy)  # fmt: skip
    picture = Image.fromarray(found[..., 0] if channels == 1 else found)
    scaled = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(scaled).reshape(*size, channels)


def _normalisation(
    rewriting: Rewriting, channels: int, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Normalisation:
    run = rewriting.source.run
    white = 1.0 if rewriting.source.takes_bytes else _WHITE
    known = Normalisation((0.0,) * channels, (white,) * channels) if run is None else run.preparation.normalisation
    found = [known.mean if mean is None else tuple(mean), known.std if std is None else tuple(std)]
    spread = [values * channels if len(values) == 1 else values for values in found]
    for name, values in zip(("mean", "std"), spread, strict=True):
        if len(values) != channels or (name == "std" and min(values) <= 0):
            rule = f"{name} must be one number or {channels}" + (", all above zero" if name == "std" else "")
            raise DataError(rule, received=values, remedy="write 127, or 124,117,104")
    return Normalisation(*spread)


def _shares(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (classes, rows, columns) as probabilities."""
    places = scores.reshape(len(scores), -1).T
    return np.exp(log_probabilities(places)).T.reshape(scores.shape)


def _classes(rewriting: Rewriting, count: int) -> tuple[str, ...]:
    run = rewriting.source.run
    known = () if run is None else run.classes
    return known if len(known) == count else tuple(map(str, range(count)))


def _number(label: str | int | None, classes: tuple[str, ...], shares: NDArray[np.float64], where: str) -> int:
    if label is None:
        return int(shares.reshape(len(shares), -1).max(axis=1).argmax())
    text = str(label)
    if text in classes:
        return classes.index(text)
    if text.isdigit() and int(text) < len(classes):
        return int(text)
    names = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
    raise DataError("there is no such class", received=label, where=where, remedy=f"give one of {names}")
