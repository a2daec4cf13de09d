"""S3: o = floor((i + 2p - k) / s) + 1, for both axes, and what the floor drops."""

import json

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import convsmith
from convsmith.cli.main import run


@pytest.mark.slow
@settings(max_examples=150)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 6), st.integers(0, 4), st.integers(1, 3))
def test_the_size_is_torchs(i, k, s, p, d):
    assume(i + 2 * p >= d * (k - 1) + 1)
    layer = convsmith.conv((i, 40), (k, 1), stride=(s, 1), padding=(p, 0), dilation=(d, 1))
    there = torch.nn.functional.conv2d(torch.zeros(1, 1, i, 1), torch.zeros(1, 1, k, 1), None, (s, 1), (p, 0), (d, 1))
    assert layer.output.shape[2] == there.shape[2]
    if d == 1:
        assert layer.output.shape[2] == (i + 2 * p - k) // s + 1


@pytest.mark.parametrize("size", range(3, 12))
def test_same_is_tensorflows_rounded_up_quotient_and_valid_is_no_padding(size):
    for s in (1, 2, 3):
        assert convsmith.conv((size, size), 3, stride=s, padding="same").output.shape[2] == -(-size // s)
        assert convsmith.conv((size, size), 3, stride=s, padding="valid").output.shape[2] == -(-(size - 2) // s)


def test_the_command_shows_the_formula_and_the_rows_and_columns_that_are_dropped(capsys):
    assert run(["conv", "--input", "4x4", "--kernel", "3"]) == 0
    assert "⌊(4 − 3) / 1⌋ + 1 = 2 rows and columns" in capsys.readouterr().out
    assert run(["conv", "--input", "8x9", "--kernel", "3", "--stride", "2x4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["output"] == [3, 2]
    gradient = torch.zeros(1, 1, 8, 9, requires_grad=True)
    torch.nn.functional.conv2d(gradient, torch.ones(1, 1, 3, 3), stride=(2, 4)).sum().backward()
    read = gradient.grad[0, 0] != 0
    assert found["dropped"]["rows"] == [row for row in range(8) if not read[row].any()]
    assert found["dropped"]["columns"] == [column for column in range(9) if not read[:, column].any()]
