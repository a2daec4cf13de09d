"""``similarity``: how alike the layers and the channels of a trained network are, and what it could do without."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from convsmith.data import Images, open_images
from convsmith.errors import DataError, ModelError
from convsmith.explain.ghost import Ghostable, ghostable
from convsmith.explain.hsic import FEWEST, batch_sizes, cka
from convsmith.explain.moments import Alike, alike
from convsmith.explain.points import Point, find_map, last_maps, points
from convsmith.explain.stages import FEWEST_BATCHES, Contrast, contrast
from convsmith.explain.survey import Member, Survey
from convsmith.jobs.similarity_page import similarity_page
from convsmith.jobs.step import Show, Step, ignore, reading
from convsmith.jobs.trained import Trained, open_trained
from convsmith.report.explained import write_explained

DEFAULT_IMAGES: Final = 512
_LARGEST_BATCH: Final = 32
_SMALLEST_BATCH: Final = 8
_BATCHES: Final = 16
_PAIRS: Final = 10


@dataclass(frozen=True, eq=False)
class Channels:
    """How alike the channels of a layer, or of the layers of a stage, are.

    Attributes:
        name: Of the layer or the stage.
        members: The channels, in the order of ``found``.
        found: Which are alike.
    """

    name: str
    members: tuple[Member, ...]
    found: Alike

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        layers = list(dict.fromkeys(member.point.name for member in self.members))
        pairs = [
            {"first": _named(self.members[first]), "second": _named(self.members[second]), "correlation": value}
            for first, second, value in self.found.pairs(_PAIRS)
        ]
        return {
            "name": self.name,
            "layers": layers,
            "channels": len(self.members),
            "constant": [_named(self.members[number]) for number in self.found.dead],
            "mean_correlation": self.found.mean,
            "redundant": self.found.redundant,
            "groups": self.found.groups.tolist(),
            "pairs": pairs,
        }


@dataclass(frozen=True, eq=False)
class SimilarityView:
    """How alike the parts of a network are on some images.

    Attributes:
        trained: The network.
        source: Where the images are from.
        images: How many were looked at.
        batches: In how many batches.
        layers: What was compared.
        cka: Of all pairs of layers, (L, L), debiased; NaN where a layer does not vary.
        contrast: The claim that stages differ; None where there are no two stages to hold against each other.
        channels: Inside layers.
        stages: Across the layers of each stage.
        ghostable: What each layer with a map could do without.
        files: What was written.
    """

    trained: Trained
    source: str
    images: int
    batches: int
    layers: tuple[Point, ...]
    cka: NDArray[np.float64]
    contrast: Contrast | None
    channels: tuple[Channels, ...]
    stages: tuple[Channels, ...]
    ghostable: tuple[Ghostable, ...]
    files: tuple[str, ...] = ()

    @property
    def constant(self) -> tuple[str, ...]:
        """Layers without a similarity: they do not vary over the images, or too little for so few."""
        return tuple(point.name for point, own in zip(self.layers, np.diagonal(self.cka), strict=True) if np.isnan(own))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures should know."""
        notes = list(self.trained.notes)
        if self.contrast and self.contrast.interval is None:
            notes.append(
                f"no interval: that takes {FEWEST_BATCHES} batches in which every layer varies; give more images"
            )
        if self.constant:
            notes.append(f"no similarity for layers that do not vary over these images: {', '.join(self.constant)}")
        return tuple(notes)

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data; a similarity that does not exist is null."""
        table = [[None if np.isnan(value) else value for value in row] for row in self.cka.tolist()]
        return {
            "model": self.trained.name,
            "source": self.source,
            "images": self.images,
            "batches": self.batches,
            "layers": [point.to_dict() for point in self.layers],
            "cka": table,
            "constant": list(self.constant),
            "contrast": self.contrast and self.contrast.to_dict(),
            "channels": [one.to_dict() for one in self.channels],
            "stages": [one.to_dict() for one in self.stages],
            "ghostable": [one.to_dict() for one in self.ghostable],
            "notes": list(self.notes),
            "files": list(self.files),
        }


def similarity(
    model: Any,
    images: str | Path,
    *,
    layers: Sequence[str] = (),
    count: int = DEFAULT_IMAGES,
    batch: int | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    input: tuple[int, int, int] | None = None,
    show: Show = ignore,
) -> SimilarityView:
    """Compare the layers and the channels of a trained network on images.

    Args:
        model: A finished run folder, an ONNX file or a ``torch.nn.Module``.
        images: Images, as for ``evaluate``; their labels play no part.
        layers: Layers whose channels are compared; by default the last map of every section.
        count: How many images are drawn from the set at most.
        batch: Images of a batch at most, 4 or more; by default so many that there are 16 batches, from 8 to 32.
        out: Folder for ``similarity.html`` and the pictures.
        seed: Decides which images are drawn, their batches, and the bootstrap.
        input: (channels, height, width), where an ONNX file leaves them open or a module takes no 3 x 224 x 224.
        show: Told of the progress.

    Raises:
        RunError: If the folder is not a finished run, or the files cannot be written.
        ModelError: If the network has no weights, no two layers, or a layer is not known or gives no map.
        DataError: If the images cannot be used or are fewer than 4.
    """
    _check(count, batch, seed)
    trained = open_trained(model, input)
    graph = trained.graph
    wanted = points(graph)
    if len(wanted) < 2:
        raise ModelError("similarity compares layers, and the network has fewer than two", where=graph.name)
    chosen = [find_map(graph, wanted, name) for name in layers] or list(last_maps(wanted).values())
    known = {point.name for point in wanted}
    wanted += tuple(point for point in dict.fromkeys(chosen) if point.name not in known)
    wanted = tuple(sorted(wanted, key=_running_order(graph)))
    preparation = trained.preparation
    pictures = open_images(images, side=preparation.side, channels=preparation.channels, progress=reading(show))
    numbers = _draw(len(pictures), count, seed, str(images))
    size = batch or min(max(len(numbers) // _BATCHES, _SMALLEST_BATCH), _LARGEST_BATCH)
    survey = Survey(wanted, seed)
    done = 0
    for some in survey.run(trained.module, graph, _batches(trained, pictures, numbers, size)):
        done += some
        show(Step("comparing layers", done / len(numbers), f"{done:,} of {len(numbers):,} images"))
    tables = np.stack(survey.tables)
    stage = [point.section if point.section_kind == "stage" else "" for point in wanted]
    ghosts = tuple(_ghostable(survey, {point.name for point in chosen}, show))
    view = SimilarityView(
        trained,
        str(images),
        len(numbers),
        len(tables),
        wanted,
        cka(tables.mean(axis=0)),
        contrast(tables, stage, seed=seed),
        tuple(_inside(survey, point) for point in dict.fromkeys(chosen)),
        tuple(Channels(name, tuple(some), alike(survey.together[name])) for name, some in survey.members.items()),
        ghosts,
    )
    return view if out is None else replace(view, files=write_explained(similarity_page(view), Path(out)))


def _check(count: int, batch: int | None, seed: int) -> None:
    if count < FEWEST:
        raise DataError(f"CKA compares images with each other and needs at least {FEWEST}", received=count)
    if batch is not None and batch < FEWEST:
        raise DataError(f"a batch must have at least {FEWEST} images", received=batch)
    if seed < 0:
        raise DataError("the seed must not be negative", received=seed)


def _draw(there: int, count: int, seed: int, where: str) -> NDArray[np.int64]:
    """Which images, in a drawn order, so that every batch is a sample of the set."""
    if there < FEWEST:
        rule = f"CKA compares images with each other and needs at least {FEWEST}"
        raise DataError(rule, received=there, where=where, remedy="give more images; some hundreds are good")
    return np.random.default_rng(seed).permutation(there)[:count]


def _batches(trained: Trained, images: Images, numbers: NDArray[np.int64], size: int) -> Iterator[Tensor]:
    start = 0
    for length in batch_sizes(len(numbers), size):
        yield trained.tensor(images.rows(numbers[start : start + length], trained.preparation.resolution)[:])
        start += length


def _running_order(graph: Any) -> Any:
    places = {node.name: number for number, node in enumerate(graph.nodes)}
    return lambda point: places[point.name]


def _inside(survey: Survey, point: Point) -> Channels:
    first, second = survey.halves[point.name]
    members = tuple(Member(point, channel) for channel in range(point.channels))
    return Channels(point.name, members, alike(first.merged(second)))


def _ghostable(survey: Survey, kept: Collection[str], show: Show) -> Iterator[Ghostable]:
    """What each layer could do without; moments that are not ``kept`` for later are dropped, as they are large."""
    layers = [point for point in survey.wanted if point.macs and point.is_map and point.channels > 1]
    for number, point in enumerate(layers, start=1):
        first, second = survey.halves[point.name] if point.name in kept else survey.halves.pop(point.name)
        if second.count:
            yield ghostable(point, first, second)
        show(Step("restoring channels", number / len(layers), f"{number:,} of {len(layers):,} layers"))


def _named(member: Member) -> dict[str, Any]:
    return {"layer": member.point.name, "channel": member.channel}
