"""S5: on a 1x1 map the kernel alone decides the size."""

import json

import pytest

from convsmith.cli.main import run


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_an_n_by_n_kernel_makes_n_by_n_of_one_pixel(n, capsys):
    for way in (["--transpose"], ["--stride", "1/2", "--padding", f"{n - 1}"]):
        assert run(["conv", "--input", "1x1", "--kernel", f"{n}", *way, "--matrix", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["output"] == [n, n]
        assert [entry[2] for entry in found["matrix"]["entries"]] == list(range(n * n))  # the kernel itself
