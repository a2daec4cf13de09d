"""S7: a layer of M kernels of K x K x C has K * K * C * M weights, whatever a library calls them."""

import json

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from convsmith import conv
from convsmith.cli.main import run


def test_a_kernel_for_each_output_channel(capsys):
    assert run(["conv", "--input", "3x32x32", "--kernel", "5", "--out-channels", "16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["params"] == 5 * 5 * 3 * 16


@given(
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    groups=st.integers(1, 3),
    inputs=st.integers(1, 4),
    outputs=st.integers(1, 4),
    bias=st.booleans(),
)
def test_parameters_are_those_of_torchs_layer(kernel, groups, inputs, outputs, bias):
    channels, made = groups * inputs, groups * outputs
    layer = conv((channels, 8, 8), kernel, groups=groups, out_channels=made, bias=bias)
    theirs = torch.nn.Conv2d(channels, made, kernel, groups=groups, bias=bias)
    assert layer.params == sum(parameter.numel() for parameter in theirs.parameters())
    assert layer.params == kernel[0] * kernel[1] * inputs * made + bias * made


def test_keras_order_of_a_kernel_holds_the_same_numbers():
    """TensorFlow and Keras keep (K, K, C, M), PyTorch (M, C, K, K): one turned is the other, the map the same."""
    rng = np.random.default_rng(0)
    image, theirs = rng.standard_normal((3, 6, 6)), rng.standard_normal((5, 5, 3, 4))
    by_hand = np.zeros((4, 2, 2))
    for row in range(2):
        for column in range(2):
            window = image[:, row : row + 5, column : column + 5].transpose(1, 2, 0)
            by_hand[:, row, column] = np.einsum("hwc,hwcm->m", window, theirs)
    ours = torch.from_numpy(theirs.transpose(3, 2, 0, 1).copy())
    found = functional.conv2d(torch.from_numpy(image)[None], ours)
    assert np.allclose(found[0].numpy(), by_hand, rtol=0, atol=1e-12)
    assert theirs.size == conv((3, 6, 6), 5, out_channels=4).params
