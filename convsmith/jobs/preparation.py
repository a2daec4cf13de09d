"""How a picture becomes the input of a network: one value that training, prediction and export share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.data import Images, Normalisation, read_square, resample, resample_matrix
from convsmith.data.resample import Fit
from convsmith.interop.onnx_file import Preprocess


@dataclass(frozen=True)
class Preparation:
    """The steps from a file to a network.

    Attributes:
        side: Pictures are first brought to ``side`` x ``side``, as in the cache.
        channels: 1 or 3.
        fit: How pictures that are not square become so.
        resolution: Height and width of the network's input; pictures are resampled to it by a matrix.
        normalisation: Mean and deviation of the training pixels.
    """

    side: int
    channels: int
    fit: Fit
    resolution: int
    normalisation: Normalisation

    @staticmethod
    def of(images: Images, resolution: int, normalisation: Normalisation) -> Preparation:
        """What was done to ``images`` for a network that works at ``resolution``."""
        return Preparation(images.side, images.channels, images.fit, resolution, normalisation)

    def read(self, path: Path) -> NDArray[np.uint8]:
        """One picture file as pixels (side, side, channels).

        Raises:
            Unreadable: If the file is damaged or no picture.
        """
        return read_square(path, self.side, self.channels, self.fit)

    def resample(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pixels (N, side, side, C) at the network's resolution."""
        return resample(pixels, self.resolution)

    def preprocess(self) -> Preprocess:
        """The steps that an exported file does itself, from (N, side, side, C) on."""
        matrix = None
        if self.resolution != self.side:
            rows = resample_matrix(self.side, self.resolution)
            matrix = (rows, rows)
        return Preprocess(self.normalisation.mean, self.normalisation.std, matrix)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "side": self.side,
            "channels": self.channels,
            "fit": self.fit,
            "resolution": self.resolution,
            "mean": list(self.normalisation.mean),
            "std": list(self.normalisation.std),
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Preparation:
        """The inverse of ``to_dict``."""
        normalisation = Normalisation(tuple(values["mean"]), tuple(values["std"]))
        return Preparation(values["side"], values["channels"], values["fit"], values["resolution"], normalisation)
