"""S7 and S8: M kernels of K x K x 3; parameters are shared and connections are sparse."""

import json

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


def test_a_kernel_for_each_output_channel(capsys):
    assert run(["conv", "--input", "3x32x32", "--kernel", "5", "--out-channels", "16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["params"] == 5 * 5 * 3 * 16
