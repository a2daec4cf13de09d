"""One pass of images through a network that gathers all that similarity needs, batch by batch.

Of each layer only the inner products of the images of a batch and the moments of its channels are kept, so memory does
not grow with the number of images or the size of the maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convsmith.explain.hsic import gram, hsic
from convsmith.explain.moments import Array, Moments, sample_places, samples
from convsmith.explain.points import Point
from convsmith.explain.walk import walk
from convsmith.ir import Graph

MOST_TOGETHER: Final = 512
"""Channels that are compared with each other across the layers of a stage, at most; else some of each layer."""


@dataclass(frozen=True)
class Member:
    """A channel of a layer of a stage."""

    point: Point
    channel: int


class Survey:
    """What a pass gathers.

    Args:
        wanted: The layers.
        seed: Decides at which places of large maps channels are compared.

    Attributes:
        tables: The criterion of all pairs of layers, one (L, L) for each batch.
        halves: Moments of the channels of each map, over every other batch, and over the rest.
        members: Channels that are compared across the layers of a stage, by the stage's name.
        together: Their moments.
    """

    def __init__(self, wanted: Sequence[Point], seed: int) -> None:
        self.wanted = tuple(wanted)
        self.tables: list[Array] = []
        maps = [point for point in wanted if point.is_map]
        self.halves = {point.name: (Moments(point.channels), Moments(point.channels)) for point in maps}
        self.members = _members(maps)
        self.together = {stage: Moments(len(some)) for stage, some in self.members.items()}
        self._random = np.random.default_rng(seed)

    def run(self, module: nn.Module, graph: Graph, batches: Iterable[Tensor]) -> Iterable[int]:
        """Take in batches of images (n, C, H, W), prepared already, each of 4 or more; yields how many each has."""
        for images in batches:
            with torch.inference_mode():
                self._add(module, graph, images)
            yield len(images)

    def _add(self, module: nn.Module, graph: Graph, images: Tensor) -> None:
        number = {point.name: index for index, point in enumerate(self.wanted)}
        grams = np.empty((len(number), len(images), len(images)))
        places: dict[tuple[int, int], NDArray[np.int64]] = {}
        kept: dict[str, NDArray[np.floating[Any]]] = {}
        needed = {member.point.name for some in self.members.values() for member in some}
        for name, value in walk(module, graph, images):
            index = number.get(name)
            if index is None:
                continue
            features = value.float().numpy()
            grams[index] = gram(features)
            if name in self.halves:
                size = (features.shape[2], features.shape[3])
                if size not in places:
                    places[size] = sample_places(*size, self._random)
                rows = samples(features, places[size])
                self.halves[name][len(self.tables) % 2].add(rows)
                if name in needed:
                    kept[name] = rows
        for stage, some in self.members.items():
            self.together[stage].add(_columns(some, kept))
        self.tables.append(hsic(grams))


def _columns(some: Sequence[Member], kept: Mapping[str, NDArray[np.floating[Any]]]) -> NDArray[np.floating[Any]]:
    """Samples (M, channels) of channels of several layers at the same places."""
    parts: dict[str, list[int]] = {}
    for member in some:
        parts.setdefault(member.point.name, []).append(member.channel)
    return np.concatenate([kept[name][:, chosen] for name, chosen in parts.items()], axis=1)


def _members(maps: Sequence[Point]) -> dict[str, list[Member]]:
    """For each stage the channels of its blocks' results, or of its layers, that have the size of its last map."""
    found: dict[str, list[Member]] = {}
    for stage in dict.fromkeys(point.section for point in maps if point.section_kind == "stage"):
        inside = [point for point in maps if point.section == stage]
        alike = [point for point in inside if point.shape[1:] == inside[-1].shape[1:]]
        layers = [point for point in alike if point.kind == "join"] or alike
        if sum(point.channels for point in layers) < 2:
            continue
        share = min(1.0, MOST_TOGETHER / sum(point.channels for point in layers))
        found[stage] = [
            Member(point, channel)
            for point in layers
            for channel in np.unique(
                np.linspace(0, point.channels - 1, max(1, int(share * point.channels))).astype(np.int64)
            ).tolist()
        ]
    return found
