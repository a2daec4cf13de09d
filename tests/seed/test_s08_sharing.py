"""S8: parameters are shared and connections are sparse."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from convsmith.cli.main import run


def test_the_small_case_against_a_fully_connected_layer(capsys):
    assert run(["conv", "--input", "4x4", "--kernel", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["params"], found["connections"]) == (9, 36)
    assert found["dense"] == {"params": 64, "connections": 64}
    assert run(["conv", "--input", "4x4", "--kernel", "3"]) == 0
    shown = capsys.readouterr().out
    assert "36 of 64 possible connections" in shown
    assert "9 weights, each in 4 connections on average" in shown


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 0), (3, 2, 1), (1, 1, 0), (2, 2, 0)])
def test_connections_are_the_pairs_that_a_changed_pixel_reaches(kernel, stride, padding, capsys):
    """Every pixel is changed alone, and every output looked at: what moved is connected."""
    options = ["--kernel", f"{kernel}", "--stride", f"{stride}", "--padding", f"{padding}", "--out-channels", "2"]
    assert run(["conv", "--input", "2x6x5", *options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    pixels = np.eye(2 * 6 * 5).reshape(-1, 2, 6, 5)
    outputs = functional.conv2d(
        torch.from_numpy(pixels), torch.ones(2, 2, kernel, kernel).double(), stride=stride, padding=padding
    )
    assert found["connections"] == int((outputs != 0).sum())
    assert found["dense"]["connections"] == 60 * outputs[0].numel()
