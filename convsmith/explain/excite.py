"""What excites a channel most in a set of images, cut out by the exact receptive field of the unit it excites."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convsmith.analysis import AxisField, ReceptiveField
from convsmith.explain.points import Point
from convsmith.explain.walk import pick
from convsmith.ir import Graph


@dataclass(frozen=True)
class Patch:
    """A part of an image.

    Attributes:
        image: Number of the image.
        value: What the unit gave.
        unit: Its row and column on the map.
        box: Top, left, bottom and right of what it sees locally, in pixels of the network's input; what lies outside
            the image is padding.
    """

    image: int
    value: float
    unit: tuple[int, int]
    box: tuple[int, int, int, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"image": self.image, "value": self.value, "unit": list(self.unit), "box": list(self.box)}


class Exciters:
    """The strongest answers of every channel of some layers, gathered batch by batch; one for each image.

    Args:
        wanted: The layers, which give maps.
        fields: The receptive fields of the network.
        most: How many images for each channel.
    """

    def __init__(self, wanted: Sequence[Point], fields: Mapping[str, ReceptiveField], most: int) -> None:
        self.wanted = wanted
        self._fields = fields
        self._most = most
        self._seen = 0
        self._best: dict[str, tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]] = {}

    def add(self, module: nn.Module, graph: Graph, images: Tensor) -> None:
        """Show the network some images (N, C, H, W), prepared already; they are numbered on."""
        numbers = np.arange(self._seen, self._seen + len(images))
        self._seen += len(images)
        with torch.inference_mode():
            found = pick(module, graph, {point.name for point in self.wanted}, images)
            for point in self.wanted:
                largest, places = found[point.name].flatten(2).max(dim=2)
                self._keep(point, largest.float().numpy(), places.numpy(), numbers)

    def _keep(
        self, point: Point, values: NDArray[np.float32], places: NDArray[np.int64], numbers: NDArray[np.int64]
    ) -> None:
        new = (values.T, places.T, np.broadcast_to(numbers, values.T.shape))
        old = self._best.get(point.name)
        joined = [np.concatenate(pair, axis=1) for pair in zip(old, new, strict=True)] if old else list(new)
        order = np.argsort(-joined[0], axis=1, kind="stable")[:, : self._most]
        best, where, which = (np.take_along_axis(part, order, axis=1) for part in joined)
        self._best[point.name] = (best.astype(np.float32), where.astype(np.int64), which.astype(np.int64))

    def patches(self, point: Point, channel: int) -> Iterator[Patch]:
        """What excites a channel most, the strongest first."""
        field, width = self._fields[point.name], point.shape[2]
        for value, place, image in zip(*(part[channel].tolist() for part in self._best[point.name]), strict=True):
            unit = divmod(place, width)
            (top, bottom), (left, right) = (
                _span(axis, at) for axis, at in zip((field.height, field.width), unit, strict=True)
            )
            yield Patch(image, value, unit, (top, left, bottom, right))

    def order(self, point: Point) -> NDArray[np.int64]:
        """Channels by how far their strongest answer stands out from that to other images, the farthest first."""
        best = self._best[point.name][0].astype(np.float64)
        return np.argsort(-(best[:, 0] - best[:, -1]) / (np.abs(best).max(axis=1) + 1e-12), kind="stable")


def _span(axis: AxisField, unit: int) -> tuple[int, int]:
    """First pixel and one past the last that a unit sees locally."""
    first, last = axis.span(unit)
    return math.ceil(first), math.floor(last) + 1


def cut(pixels: NDArray[np.uint8], box: tuple[int, int, int, int], padding: int = 128) -> NDArray[np.uint8]:
    """A part of an image (H, W, C); what lies outside it is grey, and no more than the image is shown."""
    top, left, bottom, right = box
    height, width, channels = pixels.shape
    if bottom - top >= height and right - left >= width:
        return pixels
    patch = np.full((bottom - top, right - left, channels), padding, np.uint8)
    inner = pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    row, column = max(-top, 0), max(-left, 0)
    patch[row : row + inner.shape[0], column : column + inner.shape[1]] = inner
    return patch
