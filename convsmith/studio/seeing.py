"""What the network of an opened run makes of a picture: its answer, what decided it, feature maps, similarity."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from convsmith.analysis import receptive_fields
from convsmith.explain.effective import effective_field
from convsmith.explain.points import find_map
from convsmith.jobs.features import features
from convsmith.jobs.features_page import features_page
from convsmith.jobs.saliency import saliency
from convsmith.jobs.saliency_page import saliency_page
from convsmith.jobs.similarity import similarity
from convsmith.jobs.similarity_page import similarity_page
from convsmith.jobs.trained import Trained, open_trained, read_picture
from convsmith.quantities import format_percent, format_seconds
from convsmith.report.explained import Explained
from convsmith.studio.bodies import StudioError
from convsmith.studio.pictures import Pictures
from convsmith.studio.runs import report_now, written
from convsmith.training.metrics import log_probabilities

TOP: Final = 5
"""Labels of an answer."""
_RUNS: Final = 5
"""Times that the network answers; the shortest counts, since what disturbs one only makes it longer."""
_CHANNELS: Final = 32
_EXCITED: Final = 8
"""Channels of each layer of which the patches are shown."""
_IMAGES: Final = 256
"""Of the run's own, for similarity: in some seconds, with an interval."""


def answer(path: Path, content: bytes) -> dict[str, Any]:
    """The likeliest classes of a picture, and the time that the network took.

    Args:
        path: A finished run.
        content: A picture file.

    Raises:
        RunError: If the run is not finished.
        DataError: If the picture cannot be read.
    """
    trained = _trained(path)
    with _file(content) as file:
        picture = read_picture(trained, file)
    tensor = trained.tensor(picture.pixels[None])
    scores: NDArray[np.float32] = np.zeros(0, np.float32)
    taken: list[float] = []
    with torch.inference_mode():
        for _ in range(_RUNS):
            begun = time.perf_counter()
            scores = trained.module(tensor).float().numpy()
            taken.append(time.perf_counter() - begun)
    shares = np.exp(log_probabilities(scores))[0]
    order = np.argsort(-shares, kind="stable")[:TOP]
    labels = [
        {
            "label": trained.class_name(int(number)),
            "share": float(shares[number]),
            "text": format_percent(float(shares[number])),
        }
        for number in order
    ]
    height, width = picture.native.shape[:2]
    return {
        "labels": labels,
        "classes": list(trained.classes),
        "time": format_seconds(min(taken)),
        "exported": _exported(path),
        "size": f"{height} × {width}",
        "seen": f"{trained.preparation.resolution} × {trained.preparation.resolution}",
        "notes": list(trained.notes),
    }


def explain(path: Path, what: str, content: bytes, target: str, shown: Pictures) -> dict[str, Any]:
    """A page of what a network sees, as plain values; its pictures are kept in ``shown``.

    Args:
        path: A finished run.
        what: ``saliency``, ``features``, ``similarity``, or ``excites``, the part of ``features`` on the run's images.
        content: A picture file; ``similarity`` takes the run's own images.
        target: The class that saliency speaks for; nothing for the likeliest.
        shown: Keeps the pictures of the page.

    Raises:
        RunError: If the run is not finished.
        DataError: If the picture, or the run's images, cannot be read.
        ModelError: If the network cannot be explained so.
        StudioError: If there is no such page.
    """
    _trained(path)  # what is wrong with the run is said first
    if what == "similarity":
        return _page(_similarity(path, written(path)), shown)
    with _file(content) as file:
        if what == "saliency":
            return _page(saliency_page(saliency(path, file, target=target or None)), shown)
        if what == "features":
            return _page(features_page(features(path, file), _CHANNELS, "own"), shown)
        if what == "excites":
            view = features(path, file, among=_source(path), channels=_EXCITED)
            page = features_page(view, _EXCITED, "own")
            parts = [part for part in page.parts if part.name == "excites"]
            return _page(
                replace(page, title=f"What excites the channels of {view.trained.graph.name}", parts=parts), shown
            )
    raise StudioError("a network is explained by saliency, features, excites or similarity", received=what)


def _source(path: Path) -> str:
    """The images that a run was trained on."""
    return report_now(path)["data"]["source"]


def effective(path: Path, content: bytes, layer: str, unit: tuple[int, int], shown: Pictures) -> dict[str, Any]:
    """Which pixels of a picture a unit really depends on, by its gradient.

    Args:
        path: A finished run.
        content: A picture file.
        layer: A layer that gives a map.
        unit: Row and column of the unit.
        shown: Keeps the picture of it: from black, no dependence, to white.

    Raises:
        RunError: If the run is not finished.
        DataError: If the picture cannot be read.
        ModelError: If there is no such layer, or it gives no map.
        StudioError: If there is no such unit.
    """
    trained = _trained(path)
    graph = trained.graph
    point = find_map(graph, (), layer)
    if not all(0 <= at < size for at, size in zip(unit, point.shape[1:], strict=True)):
        raise StudioError(f"a unit of {layer} must be within its map", received=unit, remedy="choose one inside")
    with _file(content) as file:
        tensor = trained.tensor(read_picture(trained, file).pixels[None])
    found = effective_field(
        trained.module, graph, tensor, point, receptive_fields(graph)[point.name], seed=0, unit=unit
    )
    bright = np.rint(255 * found.energy / (found.energy.max() or 1.0)).astype(np.uint8)
    return {
        "id": shown.put(bright[..., None]),
        "size": list(bright.shape),
        "pixels": found.pixels,
        "side": f"{found.side:.1f}",
        "share": format_percent(found.share),
    }


@lru_cache(maxsize=4)
def _similarity(path: Path, at: int) -> Explained:
    return similarity_page(similarity(path, _source(path), count=_IMAGES))


def _trained(path: Path) -> Trained:
    """The network of a run, read again when its weights are written again."""
    return _read(path, written(path))


@lru_cache(maxsize=4)
def _read(path: Path, at: int) -> Trained:
    return open_trained(path)


def _exported(path: Path) -> str:
    """What the exported file takes, as its report says."""
    found = report_now(path).get("latency")
    return format_seconds(found["typical_ms"] / 1000) if found else ""


@contextmanager
def _file(content: bytes) -> Iterator[Path]:
    """A picture as a file for as long as it is looked at; its name says nothing of its kind, its bytes do."""
    with tempfile.TemporaryDirectory(prefix="convsmith-") as folder:
        path = Path(folder) / "picture"
        path.write_bytes(content)
        yield path


def _page(page: Explained, shown: Pictures) -> dict[str, Any]:
    return {
        "title": page.title,
        "tiles": [list(tile) for tile in page.tiles],
        "notes": list(page.notes),
        "parts": [
            {
                "heading": part.heading,
                "lines": list(part.lines),
                "shots": [
                    {"id": shown.put(shot.pixels), "caption": shot.caption, "size": list(shot.pixels.shape[:2])}
                    for shot in part.shots
                ],
                "tables": [
                    {"caption": one.caption, "header": list(one.header), "rows": [list(row) for row in one.rows]}
                    for one in part.tables
                ],
            }
            for part in page.parts
        ],
    }
