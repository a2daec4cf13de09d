"""``export``: a trained network as a file that runs without this package, written only if it gives the same answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data import open_images
from convsmith.deploy.export import export_onnx
from convsmith.deploy.parity import Parity
from convsmith.errors import ModelError
from convsmith.files import json_line
from convsmith.jobs.preparation import Preparation
from convsmith.jobs.run_folder import RunFolder, TrainedNetwork
from convsmith.jobs.step import Show, ignore, reading

FORMATS: Final = ("onnx",)
_SAMPLE: Final = 64


@dataclass(frozen=True)
class Exported:
    """An exported file.

    Attributes:
        path: Where it is.
        format: One of ``FORMATS``.
        judged_on: The images of the parity gate: where they are from, or ``generated``.
        parity: How near its answers are to the network's.
    """

    path: Path
    format: str
    judged_on: str
    parity: Parity

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data."""
        named = {"path": str(self.path), "format": self.format, "bytes": self.path.stat().st_size}
        return {**named, "judged_on": self.judged_on, "parity": self.parity.to_dict()}


def export(
    run: str | Path,
    *,
    to: str = "onnx",
    out: str | Path | None = None,
    images: str | Path | None = None,
    show: Show = ignore,
) -> Exported:
    """Write the network of a run, preprocessing included, and hold the file against the network.

    Args:
        run: A finished run folder.
        to: The format; ``onnx``.
        out: The file; by default ``model.onnx`` in the run folder.
        images: Images for the parity gate, as for ``fit``; noise where none are given.
        show: Told of the progress.

    Raises:
        ModelError: If the format is not known.
        RunError: If the folder is not a finished run, or the file cannot be written.
        GateError: If the file and the network differ; no file is left.
    """
    if to not in FORMATS:
        raise ModelError("no such export format", received=to, remedy=f"use one of {', '.join(FORMATS)}")
    folder = RunFolder(Path(run))
    network = folder.read_network()
    path = folder.onnx if out is None else Path(out)
    sample = _noise(network.preparation) if images is None else _sample(images, network.preparation, show)
    parity = write_onnx_file(network, path, sample)
    return Exported(path, to, "generated" if images is None else str(images), parity)


def write_onnx_file(network: TrainedNetwork, path: Path, sample: NDArray[np.uint8]) -> Parity:
    """Write the network to an ONNX file that says its classes and its preparation.

    Args:
        network: The trained network.
        path: The file.
        sample: Images for the parity gate, uint8 (N, side, side, C).

    Raises:
        GateError: If the file and the network differ; no file is left.
        RunError: If the file cannot be written.
    """
    preparation = network.preparation
    return export_onnx(
        network.graph,
        network.module,
        path,
        preprocess=preparation.preprocess(),
        images=sample,
        metadata=export_metadata(network.classes, preparation),
    )


def export_metadata(classes: Sequence[str], preparation: Preparation) -> dict[str, str]:
    """What an exported file says about itself."""
    return {
        "convsmith.classes": json_line(classes),
        "convsmith.preparation": json.dumps(preparation.to_dict()),
    }


def _sample(source: str | Path, preparation: Preparation, show: Show) -> NDArray[np.uint8]:
    """Images spread evenly over a set, so that all classes have a chance to be among them."""
    images = open_images(source, side=preparation.side, channels=preparation.channels, progress=reading(show))
    return images.pixels[np.unique(np.linspace(0, len(images) - 1, _SAMPLE).astype(np.int64))]


def _noise(preparation: Preparation) -> NDArray[np.uint8]:
    shape = (_SAMPLE, preparation.side, preparation.side, preparation.channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
