"""Interpolation between all small sizes: the window is worked out with fractions, so every ratio is a case."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from convsmith.ir import Sample, TensorType
from convsmith.ops import Resize
from convsmith.testing import matrix_is_module, window_fits_shape, window_is_gradient_support


@pytest.mark.parametrize(("mode", "align_corners"), [("nearest", False), ("bilinear", False), ("bilinear", True)])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8])
def test_every_ratio_conforms(mode, align_corners, size):
    for outputs in range(1, 9):
        sample = Sample(Resize(outputs, mode, align_corners), (TensorType((1, 1, size, size)),))
        for check in (matrix_is_module, window_fits_shape, window_is_gradient_support):
            check(sample)


def test_nearest_picks_torchs_pixel_at_sizes_in_use():
    """torch works out the pixel with a rounded scale; the exact one must not differ from it."""
    for size in (7, 49, 96, 160, 224):
        row = torch.arange(size, dtype=torch.float64)[None, None]
        for outputs in range(1, 257):
            picked = torch.nn.functional.interpolate(row, size=outputs, mode="nearest")[0, 0].numpy()
            np.testing.assert_array_equal(np.arange(outputs) * size // outputs, picked)
