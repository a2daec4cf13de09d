"""S10: max, average and global pooling have no parameters; a stride of 2 halves the map."""

import json

import pytest

from convsmith.cli.main import run


def asked(capsys, *arguments):
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_features_that_the_tutorial_counts(capsys):
    for command in (["pool", "--stride", "1"], ["conv"]):
        found = asked(capsys, *command, "--input", "96x96", "--kernel", "8", "--padding", "valid")
        assert found["output"] == [89, 89]
    maps = asked(capsys, "conv", "--input", "96x96", "--kernel", "8", "--out-channels", "400")
    assert maps["output_shape"][0] * 89 * 89 == 3_168_400
    assert run(["conv", "--input", "96x96", "--kernel", "8", "--out-channels", "400"]) == 0
    assert "3,168,400 values" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["max", "average"])
def test_stride_two_halves_and_nothing_is_learned(kind, capsys):
    found = asked(capsys, "pool", "--input", "8x28x28", "--kernel", "2", "--kind", kind)
    assert (found["output_shape"], found["params"], found["dropped"]) == ([8, 14, 14], 0, {"rows": [], "columns": []})
    whole = asked(capsys, "pool", "--input", "8x7x7", "--global", "--kind", kind)
    assert (whole["output_shape"], whole["params"], whole["connections"]) == ([8, 1, 1], 0, 8 * 49)
    assert whole["receptive_field"]["global"]


def test_padding_and_ceil_mode_change_what_a_mean_is(capsys):
    options = [
        "pool",
        "--input",
        "4x4",
        "--kernel",
        "3",
        "--stride",
        "2",
        "--padding",
        "1",
        "--kind",
        "average",
        "--matrix",
    ]
    counted = asked(capsys, *options)["matrix"]
    assert counted["values"] == pytest.approx([1 / 9])
    left_out = asked(capsys, *options, "--no-count-include-pad")["matrix"]
    assert left_out["values"] == pytest.approx([1 / 9, 1 / 6, 1 / 4])
    assert asked(capsys, "pool", "--input", "5x5", "--kernel", "2", "--ceil-mode")["output"] == [3, 3]
