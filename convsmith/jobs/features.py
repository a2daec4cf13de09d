"""``features``: the maps that a network makes of a picture, and what its channels look for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from convsmith.analysis import receptive_fields
from convsmith.data import Pixels, open_images
from convsmith.errors import DataError
from convsmith.explain.effective import EffectiveField, effective_field
from convsmith.explain.excite import Exciters
from convsmith.explain.maps import FeatureMaps, feature_maps
from convsmith.explain.maximise import Maximised, maximise
from convsmith.explain.points import Point, find_map, last_maps, points
from convsmith.jobs.features_page import features_page
from convsmith.jobs.step import Show, Step, ignore, reading
from convsmith.jobs.trained import Picture, Trained, open_trained, read_picture
from convsmith.report.explained import write_explained
from convsmith.report.seen import Scale

_BATCH: Final = 64
_FIELD_IMAGES: Final = 32
_MADE: Final = 16


@dataclass(frozen=True, eq=False)
class Excited:
    """What excites the channels of some layers most in a set of images.

    Attributes:
        source: Where the images are from.
        images: How many there are.
        names: Of the images, by number.
        pixels: The images at the network's resolution.
        found: The strongest answers.
        shown: How many channels of a layer are shown and listed.
    """

    source: str
    images: int
    names: tuple[str, ...]
    pixels: Pixels
    found: Exciters
    shown: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        layers = [
            {
                "name": point.name,
                "channels": [
                    {
                        "channel": channel,
                        "patches": [
                            {**patch.to_dict(), "path": self.names[patch.image]}
                            for patch in self.found.patches(point, channel)
                        ],
                    }
                    for channel in self.found.order(point)[: self.shown].tolist()
                ],
            }
            for point in self.found.wanted
        ]
        return {"source": self.source, "images": self.images, "layers": layers}


@dataclass(frozen=True, eq=False)
class FeatureView:
    """What a network makes of a picture.

    Attributes:
        trained: The network.
        picture: The picture.
        maps: The maps of each layer that was looked at.
        fields: What the middle unit of each of these layers depends on.
        field_images: Over how many images that is a mean.
        excited: What excites channels most in a set of images, where one was given.
        made: Images made to excite channels, where asked for.
        files: What was written.
    """

    trained: Trained
    picture: Picture
    maps: tuple[FeatureMaps, ...]
    fields: tuple[EffectiveField, ...]
    field_images: int
    excited: Excited | None
    made: tuple[Maximised, ...]
    files: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data."""
        made = [
            {"name": one.point.name, "channels": list(one.channels), "before": list(one.before),
             "after": list(one.after)}
            for one in self.made
        ]  # fmt: skip
        return {
            "model": self.trained.name,
            "image": self.picture.path,
            "native": list(self.picture.native.shape[:2]),
            "input": list(self.trained.graph.inputs[0][1].shape),
            "layers": [one.to_dict() for one in self.maps],
            "effective_fields": [one.to_dict() for one in self.fields],
            "effective_field_images": self.field_images,
            "excited": self.excited and self.excited.to_dict(),
            "made": made,
            "notes": list(self.trained.notes),
            "files": list(self.files),
        }


def features(
    model: Any,
    image: str | Path,
    *,
    layers: Sequence[str] = (),
    among: str | Path | None = None,
    make: bool = False,
    channels: int = 64,
    patches: int = 9,
    scale: Scale = "own",
    out: str | Path | None = None,
    seed: int = 0,
    input: tuple[int, int, int] | None = None,
    show: Show = ignore,
) -> FeatureView:
    """Look at the feature maps that a network makes of a picture.

    Args:
        model: A finished run folder, an ONNX file or a ``torch.nn.Module``.
        image: A picture file of any size; it is prepared as the images were that the network learnt from.
        layers: Which layers; by default the last map of every section.
        among: Images, as for ``evaluate``, among which to look for what excites each channel most.
        make: Make images that excite channels as much as they can; takes a while.
        channels: How many channels of a layer are shown at most.
        patches: How many images for each channel of ``among``.
        scale: Whether each map has its own colours or all of a layer have the same.
        out: Folder for ``features.html`` and the pictures.
        seed: Decides what is drawn: signs of gradients, noise that images are made from.
        input: (channels, height, width), where an ONNX file leaves them open or a module takes no 3 x 224 x 224.
        show: Told of the progress.

    Raises:
        RunError: If the folder is not a finished run, or the files cannot be written.
        ModelError: If the network has no weights, or a layer is not known or gives no map.
        DataError: If the picture or the images cannot be used, or a number is below 1.
    """
    for name, value in (("channels", channels), ("patches", patches)):
        if value < 1:
            raise DataError(f"{name} must be at least 1", received=value, where="features")
    trained = open_trained(model, input)
    graph, module = trained.graph, trained.module
    every = points(graph)
    wanted = tuple(find_map(graph, every, name) for name in layers) or tuple(last_maps(every).values())
    picture = read_picture(trained, image)
    tensor = trained.tensor(picture.pixels[None])
    excited = None if among is None else _excited(trained, wanted, among, patches, min(channels, _MADE), show)
    sample = tensor if excited is None else torch.cat([tensor, _sample(trained, excited)])
    fields = receptive_fields(graph)
    view = FeatureView(
        trained,
        picture,
        feature_maps(module, graph, tensor, wanted),
        tuple(effective_field(module, graph, sample, point, fields[point.name], seed=seed) for point in wanted),
        len(sample),
        excited,
        tuple(_made(trained, wanted, excited, seed, show)) if make else (),
    )
    if out is None:
        return view
    return replace(view, files=write_explained(features_page(view, channels, scale), Path(out)))


def _excited(
    trained: Trained, wanted: Sequence[Point], source: str | Path, patches: int, shown: int, show: Show
) -> Excited:
    preparation = trained.preparation
    images = open_images(source, side=preparation.side, channels=preparation.channels, progress=reading(show))
    pixels = images.rows(np.arange(len(images)), preparation.resolution)
    found = Exciters(wanted, receptive_fields(trained.graph), patches)
    for start in range(0, len(pixels), _BATCH):
        found.add(trained.module, trained.graph, trained.tensor(pixels[start : start + _BATCH]))
        done = min(start + _BATCH, len(pixels))
        show(Step("looking for what excites", done / len(pixels), f"{done:,} of {len(pixels):,} images"))
    return Excited(str(source), len(images), images.names, pixels, found, shown)


def _sample(trained: Trained, excited: Excited) -> torch.Tensor:
    """Some images spread over the set."""
    count = min(_FIELD_IMAGES - 1, excited.images)
    return trained.tensor(excited.pixels[np.linspace(0, excited.images - 1, count).astype(np.int64)])


def _made(trained: Trained, wanted: Sequence[Point], excited: Excited | None, seed: int, show: Show) -> list[Maximised]:
    """Images for the channels that stand out most, or the first ones."""
    made: list[Maximised] = []
    for number, point in enumerate(wanted, start=1):
        order = excited.found.order(point) if excited else np.arange(point.channels)
        chosen = order[:_MADE].tolist()
        made.append(
            maximise(trained.module, trained.graph, point, chosen, trained.preparation.normalisation, seed=seed)
        )
        show(Step("making images", number / len(wanted), point.name))
    return made
