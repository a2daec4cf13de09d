"""S1: a kernel slides over the image, multiplies and adds; every window can be looked at with its numbers."""

import re

import numpy as np
import torch

import convsmith
from convsmith.cli.main import run


def test_the_walk_writes_the_products_of_every_window(capsys):
    """The printed sums, worked out with numbers, are torch's outputs."""
    assert run(["conv", "--input", "5x6", "--kernel", "3x2", "--stride", "2x1", "--padding", "1,0,0,1", "--step"]) == 0
    shown = capsys.readouterr().out
    random = np.random.default_rng(0)
    map, kernel = random.standard_normal((1, 1, 5, 6)), random.standard_normal((1, 1, 3, 2))
    padded = torch.nn.functional.pad(torch.from_numpy(map), (0, 1, 1, 0))
    expected = torch.nn.functional.conv2d(padded, torch.from_numpy(kernel), stride=(2, 1)).ravel().tolist()
    sums = re.findall(r"^y\d+ = (.*)$", shown, re.MULTILINE)
    assert len(sums) == len(expected)
    for text, value in zip(sums, expected, strict=True):
        products = re.findall(r"w(\d+)·x(\d+)", text)
        assert abs(sum(kernel.ravel()[int(w)] * map.ravel()[int(x)] for w, x in products) - value) < 1e-12


def test_a_plain_loop_the_matrix_and_torch_give_one_answer(capsys):
    assert run(["conv", "--input", "4x6x5", "--kernel", "3", "--padding", "1", "--stride", "2", "--dilation", "2x1",
                "--groups", "2", "--out-channels", "6", "--bias", "--check"]) == 0  # fmt: skip
    assert "largest difference" in capsys.readouterr().out
    layer = convsmith.conv("4x6x5", 3, padding=1, stride=2, dilation=(2, 1), groups=2, out_channels=6, bias=True)
    assert layer.check().largest < 1e-12
