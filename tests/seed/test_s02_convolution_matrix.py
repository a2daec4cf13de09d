"""S2: convolution is a sparse matrix, Y = CX. The tutorial's own case: 4x4 input, 3x3 kernel, no padding, stride 1."""

import json

import numpy as np

from convsmith.cli.main import run

ROWS = (
    "w00 w01 w02 0 w10 w11 w12 0 w20 w21 w22 0 0 0 0 0",
    "0 w00 w01 w02 0 w10 w11 w12 0 w20 w21 w22 0 0 0 0",
    "0 0 0 0 w00 w01 w02 0 w10 w11 w12 0 w20 w21 w22 0",
    "0 0 0 0 0 w00 w01 w02 0 w10 w11 w12 0 w20 w21 w22",
)
"""C as the tutorial has it, its two misprints put right."""


def test_the_matrix_of_the_tutorial_entry_by_entry(capsys):
    assert run(["conv", "--input", "4x4", "--kernel", "3", "--matrix", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    matrix = found["matrix"]
    assert (matrix["shape"], matrix["nonzeros"], matrix["distinct_weights"]) == ([4, 16], 36, 9)
    drawn = [["0"] * 16 for _ in range(4)]
    for row, column, weight in matrix["entries"]:
        drawn[row][column] = "w{}{}".format(*divmod(weight, 3))
    assert tuple(" ".join(row) for row in drawn) == ROWS
    assert found["output"] == [2, 2]


def test_the_matrix_times_the_flattened_map_is_the_sliding_window(capsys):
    assert run(["conv", "--input", "4x4", "--kernel", "3", "--matrix", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["matrix"]["entries"]
    random = np.random.default_rng(1)
    map, kernel = random.standard_normal((4, 4)), random.standard_normal((3, 3))
    c = np.zeros((4, 16))
    for row, column, weight in entries:
        c[row, column] = kernel.ravel()[weight]
    slid = [(map[y : y + 3, x : x + 3] * kernel).sum() for y in (0, 1) for x in (0, 1)]
    assert np.allclose(c @ map.ravel(), slid, rtol=0, atol=1e-12)
