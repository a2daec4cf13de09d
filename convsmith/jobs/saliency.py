"""``saliency``: what in a picture decided a network's answer, with a score of how far to believe each map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convsmith.errors import DataError, ModelError, did_you_mean
from convsmith.explain.faithfulness import Faithfulness, faithfulness, random_faithfulness
from convsmith.explain.points import Point, find_map, last_maps, points
from convsmith.explain.saliency import class_activation, gradient_times_input, occlusion
from convsmith.jobs.saliency_page import saliency_page
from convsmith.jobs.step import Show, Step, ignore
from convsmith.jobs.trained import Picture, Trained, open_trained, read_picture
from convsmith.report.explained import write_explained


@dataclass(frozen=True, eq=False)
class SaliencyMap:
    """What one method finds.

    Attributes:
        method: ``occlusion``, ``gradient x input``, ``Grad-CAM`` or ``HiResCAM``.
        layer: The map it looks at; empty where it looks at the input.
        values: (H, W) of the network's input, float64; above zero speaks for the class.
        score: How the class's probability follows the order that the values give.
    """

    method: str
    layer: str
    values: Tensor
    score: Faithfulness

    @property
    def title(self) -> str:
        """Method and layer."""
        return f"{self.method} at {self.layer}" if self.layer else self.method

    @property
    def empty(self) -> bool:
        """Whether nothing was found to speak for or against the class, so that the score says nothing."""
        return not bool(self.values.any())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"method": self.method, "layer": self.layer, **self.score.to_dict(), "empty": self.empty,
                "values": self.values.tolist()}  # fmt: skip


@dataclass(frozen=True, eq=False)
class SaliencyView:
    """What decided a network's answer to a picture.

    Attributes:
        trained: The network.
        picture: The picture.
        target: Number of the class that the maps speak for.
        answer: Number of the class that the network finds most likely.
        probability: Of the target.
        maps: One for each method and layer.
        by_chance: The mean scores of pixels in random orders, which any map should beat.
        files: What was written.
    """

    trained: Trained
    picture: Picture
    target: int
    answer: int
    probability: float
    maps: tuple[SaliencyMap, ...]
    by_chance: Faithfulness
    files: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data."""
        name = self.trained.class_name
        return {
            "model": self.trained.name,
            "image": self.picture.path,
            "class": name(self.target),
            "probability": self.probability,
            "answer": name(self.answer),
            "maps": [one.to_dict() for one in self.maps],
            "by_chance": self.by_chance.to_dict(),
            "notes": list(self.trained.notes),
            "files": list(self.files),
        }


def saliency(
    model: Any,
    image: str | Path,
    *,
    target: str | None = None,
    layers: Sequence[str] = (),
    window: int | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    input: tuple[int, int, int] | None = None,
    show: Show = ignore,
) -> SaliencyView:
    """Find what in a picture decided a network's answer, by occlusion, gradient x input, Grad-CAM and HiResCAM.

    Args:
        model: A finished run folder, an ONNX file or a ``torch.nn.Module``; it must classify.
        image: A picture file of any size; it is prepared as the images were that the network learnt from.
        target: The class that the maps should speak for, by name; by default the likeliest.
        layers: Maps for the two class activation methods; by default the last ones of the last two sections.
        window: Side of the square that occlusion covers; by default an eighth of the input's, at least 2.
        out: Folder for ``saliency.html`` and the pictures.
        seed: Decides the random orders that the scores are compared with.
        input: (channels, height, width), where an ONNX file leaves them open or a module takes no 3 x 224 x 224.
        show: Told of the progress.

    Raises:
        RunError: If the folder is not a finished run, or the files cannot be written.
        ModelError: If the network has no weights, does not classify, or a layer is not known or gives no map.
        DataError: If the picture cannot be used, the class is not known, or the window does not fit.
    """
    trained = open_trained(model, input)
    graph = trained.graph
    if len(graph.outputs) != 1 or graph.types[graph.outputs[0]].rank != 2:
        received = [graph.types[name].shape for name in graph.outputs]
        raise ModelError("saliency explains the answer of a classifier", received=received, where=graph.name)
    every = points(graph)
    maps = list(last_maps(every).values())[-2:]
    wanted = [find_map(graph, every, name) for name in layers] or maps
    picture = read_picture(trained, image)
    tensor = trained.tensor(picture.pixels[None])[0]
    side = min(tensor.shape[1:])
    size = max(2, side // 8) if window is None else window
    if not 1 <= size <= side:
        raise DataError(f"the window must be from 1 to {side} pixels", received=size, where="saliency")
    with torch.inference_mode():
        shares = trained.module(tensor[None])[0].double().softmax(0)
    answer = int(shares.argmax())
    number = answer if target is None else _class_number(trained, target, len(shares))
    return _write(_explain(trained, picture, tensor, number, answer, shares, wanted, size, seed, show), out)


def _explain(
    trained: Trained,
    picture: Picture,
    tensor: Tensor,
    number: int,
    answer: int,
    shares: Tensor,
    wanted: Sequence[Point],
    window: int,
    seed: int,
    show: Show,
) -> SaliencyView:
    def probability(images: Tensor) -> Tensor:
        return trained.module(images).double().softmax(1)[:, number]

    found: list[SaliencyMap] = []
    methods = list(_methods(trained, tensor, number, wanted, window))
    for at, (method, layer, make) in enumerate(methods, start=1):
        values = make()
        found.append(SaliencyMap(method, layer, values, faithfulness(probability, tensor, values)))
        show(Step("explaining", at / len(methods), method))
    chance = random_faithfulness(probability, tensor, seed=seed)
    return SaliencyView(trained, picture, number, answer, float(shares[number]), tuple(found), chance)


def _methods(
    trained: Trained, tensor: Tensor, number: int, wanted: Sequence[Point], window: int
) -> Iterator[tuple[str, str, Callable[[], Tensor]]]:
    """Each method with the layer it looks at and what computes it."""
    module, graph = trained.module, trained.graph

    def logit(images: Tensor) -> Tensor:
        return module(images)[:, number]

    yield "occlusion", "", lambda: occlusion(logit, tensor, window, max(1, window // 2))
    yield "gradient x input", "", lambda: gradient_times_input(logit, tensor)
    for point in wanted:
        for method, high in (("Grad-CAM", False), ("HiResCAM", True)):
            name = point.name
            yield (
                method,
                name,
                lambda name=name, high=high: class_activation(
                    module, graph, tensor, number, name, high_resolution=high
                ),
            )


def _class_number(trained: Trained, name: str, count: int) -> int:
    names = [trained.class_name(number) for number in range(count)]
    if name not in names:
        known = ", ".join(names[:10]) + (" ..." if count > 10 else "")
        remedy = did_you_mean(name, names, f"it knows {known}")
        raise DataError("the network does not know this class", received=name, where=trained.name, remedy=remedy)
    return names.index(name)


def _write(view: SaliencyView, out: str | Path | None) -> SaliencyView:
    return view if out is None else replace(view, files=write_explained(saliency_page(view), Path(out)))
