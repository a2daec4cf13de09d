from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from convsmith.data import Normalisation, open_images
from tests.data.samples import noise

DIGITS = open_images("digits")


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_deviation_are_those_of_the_chosen_pixels(channels: int) -> None:
    images = replace(DIGITS, pixels=noise(1, 3000, 5, 5, channels), channels=channels)
    indices = np.arange(1, 3000, 2)
    measured = Normalisation.of(images, indices)
    chosen = images.pixels[indices].astype(np.float64)
    np.testing.assert_allclose(measured.mean, chosen.mean(axis=(0, 1, 2)), rtol=1e-13)
    np.testing.assert_allclose(measured.std, chosen.std(axis=(0, 1, 2)), rtol=1e-13)
    batch = torch.from_numpy(images.pixels[indices]).permute(0, 3, 1, 2).double()
    normal = measured.apply(batch)
    np.testing.assert_allclose(normal.mean(dim=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(normal.std(dim=(0, 2, 3), correction=0), 1, atol=1e-12)
    assert measured.apply(batch.float()).dtype == torch.float32


def test_constant_channel_is_only_centred() -> None:
    images = replace(DIGITS, pixels=np.full((4, 2, 2, 1), 7, np.uint8))
    assert Normalisation.of(images, np.arange(4)) == Normalisation((7.0,), (1.0,))


@pytest.mark.slow
def test_looking_at_data_does_not_load_torch() -> None:
    code = "import sys, convsmith.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
