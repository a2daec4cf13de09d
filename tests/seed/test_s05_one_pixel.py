"""S5: on a 1x1 map the kernel alone decides the size."""

import json

import pytest
import torch

from convsmith.cli.main import run
from convsmith.design import lower, make_design
from convsmith.interop.torch_module import build


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_an_n_by_n_kernel_makes_n_by_n_of_one_pixel(n, capsys):
    for way in (["--transpose"], ["--stride", "1/2", "--padding", f"{n - 1}"]):
        assert run(["conv", "--input", "1x1", "--kernel", f"{n}", *way, "--matrix", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["output"] == [n, n]
        assert [entry[2] for entry in found["matrix"]["entries"]] == list(range(n * n))  # the kernel itself


@pytest.mark.parametrize("n", [2, 3, 7])
def test_a_stage_makes_n_by_n_of_one_pixel(n):
    """The first stage of a generator: each kernel, times the pixel, is what comes out."""
    values = {
        "name": "generator",
        "input": [5, 1, 1],
        "stem": {"block": "conv", "width": 4, "kernel": n, "stride": f"1/{n}", "norm": "none", "activation": "none"},
        "stage": [{"block": "conv", "depth": 1, "width": 2}],
        "head": {"task": "classify", "classes": 2},
    }
    graph = lower(make_design(values))
    assert graph.types["stem.conv"].shape == (1, 4, n, n)
    layer = build(graph).get_submodule("stem.conv")
    pixel = torch.randn(1, 5, 1, 1)
    stamped = torch.einsum("c,cokl->okl", pixel[0, :, 0, 0], layer.weight) + layer.bias[:, None, None]
    assert torch.allclose(layer(pixel)[0], stamped, atol=1e-6)
