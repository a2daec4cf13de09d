"""``kernels``: what the kernels of a layer look for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convsmith.explain.kernels import Kernels, find_kernels, tag_kernels
from convsmith.interop.weights import weights_of
from convsmith.jobs.trained import Trained, open_trained
from convsmith.quantities import format_shape
from convsmith.report.explained import Explained, Listed, Part, write_explained
from convsmith.report.seen import kernel_shots


@dataclass(frozen=True, eq=False)
class KernelView:
    """The kernels of one or two layers of a network.

    Attributes:
        trained: The network.
        layers: The first layer with kernels larger than a pixel, then the one that was asked for.
        files: What was written.
    """

    trained: Trained
    layers: tuple[Kernels, ...]
    files: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data."""
        return {
            "model": self.trained.name,
            "layers": [one.to_dict() for one in self.layers],
            "notes": list(self.trained.notes),
            "files": list(self.files),
        }


def view_kernels(
    model: Any, *, layer: str | None = None, out: str | Path | None = None, input: tuple[int, int, int] | None = None
) -> KernelView:
    """Look at the kernels of a trained network and say what each looks for.

    Args:
        model: A finished run folder, an ONNX file or a ``torch.nn.Module``.
        layer: A further layer; the first is always looked at.
        out: Folder for ``kernels.html`` and the pictures.
        input: (channels, height, width), where an ONNX file leaves them open or a module takes no 3 x 224 x 224.

    Raises:
        RunError: If the folder is not a finished run, or the files cannot be written.
        ModelError: If the network has no weights or no such layer.
    """
    trained = open_trained(model, input)
    graph = trained.graph
    first = find_kernels(graph, None)
    nodes = [first] if layer is None else list(dict.fromkeys((first, find_kernels(graph, layer))))
    weights = weights_of(trained.module)
    found: list[Kernels] = []
    for node in nodes:
        deviation = trained.preparation.normalisation.std if node.inputs[0] == graph.inputs[0][0] else ()
        array = weights[f"{node.weights}.weight"].astype(np.float64)
        found.append(tag_kernels(node.name, array, getattr(node.op, "groups", 1), deviation))
    view = KernelView(trained, tuple(found))
    return view if out is None else KernelView(trained, view.layers, write_explained(_page(view), Path(out)))


def _page(view: KernelView) -> Explained:
    first = view.layers[0]
    tiles = [("first layer", format_shape(first.weights.shape, " × "), first.layer)]
    tiles += [(kind, f"{count}", "kernels of the first layer") for kind, count in first.count("pattern").items()]
    parts = [
        Part(
            f"layer{number}",
            one.layer,
            [_TAGS] if one.spatial else [],
            list(kernel_shots(one)),
            [Listed("Every kernel", HEADER, kernel_rows(one), words=4)],
        )
        for number, one in enumerate(view.layers, start=1)
    ]
    return Explained("kernels", f"Kernels of {view.trained.graph.name}", view.trained.name, tiles, view.trained.notes,
                     parts)  # fmt: skip


HEADER = ("channel", "pattern", "edges at", "colour", "cycles per pixel", "coherence", "in the mean", "norm")


def kernel_rows(kernels: Kernels) -> list[tuple[str, ...]]:
    """A row for each kernel, in the order in which they are shown; see ``HEADER``."""
    rows = list[tuple[str, ...]]()
    for channel in kernels.order():
        tag = kernels.tags[channel]
        rows.append(
            (
                str(channel),
                tag.pattern,
                "" if tag.angle is None else f"{tag.angle:.0f}°",
                tag.colour or "",
                "" if tag.frequency is None else f"{tag.frequency:.3f}",
                f"{tag.coherence:.2f}",
                f"{tag.mean_share:.2f}",
                f"{tag.norm:.3g}",
            )
        )
    return rows


_TAGS = (
    "Under each kernel: its channel; edge with the direction of its edges in degrees (0 horizontal, 90 vertical), spot "
    "for no direction, low for one that blurs; its frequency in cycles per pixel; its colour axis, if it has one."
)
