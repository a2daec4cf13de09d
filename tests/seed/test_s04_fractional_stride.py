"""S4: a stride below one puts blanks between pixels and slides by one: the transposed convolution, and C transposed."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv2d, conv_transpose2d, pad

import convsmith
from convsmith.cli.main import run
from convsmith.interop.torch_module import build


@settings(max_examples=80)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.data())
def test_blanks_and_a_convolution_equal_the_transposed_convolution(size, k, n, d, groups, data):
    """Values and gradients by map and weights, both written out in torch here and as our two lowerings."""
    before = data.draw(st.integers(0, d * (k - 1)))
    more = data.draw(st.integers(0, max(n, d) - 1)) if n > 1 else 0
    if (size - 1) * n + 1 + 2 * before + more < d * (k - 1) + 1:
        return
    stride = Fraction(1, n) if n > 1 else 1
    channels = {"groups": groups, "out_channels": 2 * groups}
    if n > 1:
        layer = convsmith.conv((groups, size, size), k, stride=stride, padding=before, dilation=d,
                               output_padding=more, **channels)  # fmt: skip
    else:
        layer = convsmith.conv(
            (groups, size, size), k, transpose=True, padding=d * (k - 1) - before, dilation=d, **channels
        )
    torch.manual_seed(0)
    x = torch.randn(1, groups, size, size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(groups, 2, k, k, dtype=torch.float64, requires_grad=True)
    transposed = conv_transpose2d(x, weight, None, n, d * (k - 1) - before, more, groups, d)
    line = (size - 1) * n + 1
    blanks = torch.zeros(1, groups, line, line, dtype=torch.float64)
    blanks[:, :, ::n, ::n] = 1.0
    spread = blanks * torch.nn.functional.interpolate(x, scale_factor=n, mode="nearest")[:, :, :line, :line]
    kernel = torch.cat([weight[group : group + 1].transpose(0, 1) for group in range(groups)]).flip(2, 3)
    slid = conv2d(pad(spread, (before, before + more, before, before + more)), kernel, None, 1, 0, d, groups)
    assert transposed.shape == slid.shape == layer.output.shape
    assert_same(transposed, slid)
    sought = torch.randn_like(slid)
    for one, other in zip(gradients(transposed, sought, x, weight), gradients(slid, sought, x, weight), strict=True):
        assert_same(one, other)
    ours = build(layer.zero_insertion).double()
    flipped = layer.op.sliding_kernel(weight.detach().numpy()).copy()
    ours.load_state_dict({"layer.weight": torch.from_numpy(flipped)})
    assert_same(ours(x), transposed)
    assert_same(torch.autograd.grad(ours(x), x, sought)[0], torch.autograd.grad(transposed, x, sought)[0])


def assert_same(one, other):
    assert (one - other).abs().max().item() <= 1e-12


def gradients(output, sought, *of):
    return torch.autograd.grad(output, of, sought, retain_graph=True)


@pytest.mark.parametrize(("n", "padding"), [(2, 1), (3, 0), (3, 2)])
@pytest.mark.parametrize("size", [1, 4, 7])
def test_a_stride_of_one_nth_enlarges_the_map_by_n(n, padding, size):
    layer = convsmith.conv((size, size + 1), 2 * padding + 1, stride=f"1/{n}", padding=padding, output_padding=n - 1)
    assert layer.output.shape[2:] == (n * size, n * (size + 1))


def entries(capsys, *arguments) -> tuple[list[int], list[list[int]]]:
    assert run(["conv", *arguments, "--matrix", "--json"]) == 0
    matrix = json.loads(capsys.readouterr().out)["matrix"]
    return matrix["shape"], matrix["entries"]


@pytest.mark.parametrize(("size", "k", "s", "p"), [(4, 3, 1, 0), (5, 3, 2, 0), (6, 3, 2, 1), (9, 4, 3, 2)])
def test_the_matrix_is_that_of_the_matching_convolution_transposed(size, k, s, p, capsys):
    """Weight by weight; Dumoulin and Visin, 2016, section 4.1."""
    options = ["--kernel", f"{k}", "--stride", f"{s}", "--padding", f"{p}"]
    forward = entries(capsys, "--input", f"2x{size}x{size}", *options, "--out-channels", "3")
    output = (size + 2 * p - k) // s + 1
    more = size - ((output - 1) * s + k - 2 * p)
    back = ["--input", f"3x{output}x{output}", "--transpose", "--out-channels", "2", "--output-padding", f"{more}"]
    shape, found = entries(capsys, *back, *options)
    assert shape == forward[0][::-1]
    assert sorted(found) == sorted([column, row, weight] for row, column, weight in forward[1])
    if s > 1:
        fraction = [
            "--kernel",
            f"{k}",
            "--stride",
            f"1/{s}",
            "--padding",
            f"{k - 1 - p}",
            "--output-padding",
            f"{more}",
        ]
        same = entries(capsys, "--input", f"3x{output}x{output}", "--out-channels", "2", *fraction)
        assert same == (shape, found)


def test_the_command_names_the_matching_convolution(capsys):
    assert run(["conv", "--input", "2x2", "--kernel", "3", "--stride", "1/2", "--padding", "1"]) == 0
    shown = capsys.readouterr().out
    command = next(line for line in shown.splitlines() if "transposed" in line and "`conv" in line).split("`")[1]
    layer = convsmith.conv("2x2", 3, stride="1/2", padding=1)
    assert run([*command.split(), "--json", "--matrix"]) == 0
    matching = json.loads(capsys.readouterr().out)["matrix"]
    own = layer.matrix.to_dict()
    assert sorted([column, row, weight] for row, column, weight in matching["entries"]) == sorted(own["entries"])
    assert np.all(np.array(matching["shape"]) == own["shape"][::-1])
