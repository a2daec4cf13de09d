"""Interpolation between all small sizes: the window is worked out with fractions, so every ratio is a case."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from convsmith.ir import Sample, TensorType
from convsmith.ops import Resize
from convsmith.ops.resample import nearest_pixels
from convsmith.testing import matrix_is_module, window_fits_shape, window_is_what_is_read

MODES = [
    ("nearest", False), ("nearest-exact", False), ("bilinear", False), ("bilinear", True),
    ("bicubic", False), ("bicubic", True),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "align_corners"), MODES)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8])
def test_every_ratio_conforms(mode, align_corners, size):
    for outputs in range(1, 9):
        sample = Sample(Resize(outputs, mode, align_corners), (TensorType((1, 1, size, size)),))
        for check in (matrix_is_module, window_fits_shape, window_is_what_is_read):
            check(sample)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_picks_torchs_pixel(mode):
    """torch works out the place in float32: at some hundred of these sizes it differs from the exact one.

    Its kernel for maps of few channels, or with channels first, rounds nearest-exact otherwise at 39 of 33,000 sizes.
    """
    for size in range(1, 130, 3):
        map = torch.arange(size, dtype=torch.float32)[None, None, :, None].expand(1, 8, -1, 3)
        map = map.contiguous(memory_format=torch.channels_last)
        for outputs in range(1, 260):
            picked = torch.nn.functional.interpolate(map, size=(outputs, 3), mode=mode)[0, 0, :, 0].numpy()
            np.testing.assert_array_equal(nearest_pixels(mode, size, outputs), picked)


@pytest.mark.parametrize(("mode", "outputs"), [("nearest", 82), ("nearest-exact", 41)])
def test_the_matrix_takes_torchs_pixel_where_rounding_moves_it(mode, outputs):
    matrix_is_module(Sample(Resize((outputs, 1), mode), (TensorType((1, 1, 2, 1)),)))


def test_bicubic_reads_four_pixels_and_bilinear_two():
    """Where a map is doubled. Where every third pixel is kept, each point hits one and reads it alone."""
    type = TensorType((1, 1, 16, 16))
    counts = {
        mode: [sum(1 for _ in Resize(32, mode).window(type)[0].reads(output, 16)) for output in (15, 16)]
        for mode in ("nearest", "nearest-exact", "bilinear", "bicubic")
    }
    assert counts == {"nearest": [1, 1], "nearest-exact": [1, 1], "bilinear": [2, 2], "bicubic": [4, 4]}
    shrunk = Resize(3, "bicubic").window(TensorType((1, 1, 9, 9)))[0]
    assert (shrunk.kernel, shrunk.stride, shrunk.before) == (1, 3, -1)
