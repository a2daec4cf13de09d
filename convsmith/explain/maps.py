"""The feature maps that a network makes of one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convsmith.explain.points import Point
from convsmith.explain.walk import pick
from convsmith.ir import Graph


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """The maps of one layer on one image.

    Attributes:
        point: The layer.
        values: (C, H, W).
    """

    point: Point
    values: NDArray[np.float32]

    @property
    def flat(self) -> NDArray[np.bool_]:
        """Which channels have the same value everywhere, (C,)."""
        values = self.values.reshape(len(self.values), -1)
        return values.max(axis=1) == values.min(axis=1)

    def order(self) -> NDArray[np.int64]:
        """Channels by the variance of their map, the largest first."""
        return np.argsort(-self.values.var(axis=(1, 2), dtype=np.float64), kind="stable")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: figures of every channel, not the maps."""
        low, high = self.values.min(axis=(1, 2)), self.values.max(axis=(1, 2))
        mean = self.values.mean(axis=(1, 2), dtype=np.float64)
        deviation = self.values.std(axis=(1, 2), dtype=np.float64)
        rows = zip(mean.tolist(), deviation.tolist(), low.tolist(), high.tolist(), strict=True)
        return {
            **self.point.to_dict(),
            "flat_channels": np.flatnonzero(self.flat).tolist(),
            "channels": [
                {"channel": number, "mean": mean, "deviation": deviation, "min": low, "max": high}
                for number, (mean, deviation, low, high) in enumerate(rows)
            ],
        }


def feature_maps(module: nn.Module, graph: Graph, image: Tensor, wanted: Sequence[Point]) -> tuple[FeatureMaps, ...]:
    """The maps of some layers on one image (1, C, H, W), which is prepared already."""
    with torch.inference_mode():
        found = pick(module, graph, {point.name for point in wanted}, image)
    return tuple(FeatureMaps(point, found[point.name][0].float().numpy()) for point in wanted)
