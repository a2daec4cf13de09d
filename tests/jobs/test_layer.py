"""One layer explained, against links counted by hand, torch in float64 and figures that were published."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs_links import KINDS, compare, draw

import convsmith
from convsmith.errors import ConvsmithError, GateError, OpError
from convsmith.jobs.layer_check import Check
from convsmith.ops import AvgPool2d, Conv2d, ConvTranspose2d

EXACT = 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(data=st.data())
def test_loop_matrix_and_torch_agree_on_random_layers(kind, data):
    layer = draw(lambda low, high: data.draw(st.integers(low, high)), kind)
    assert compare(layer, seed=data.draw(st.integers(0, 2**16))) <= EXACT


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(data=st.data())
def test_the_check_of_a_random_layer_finds_no_difference(kind, data):
    layer = draw(lambda low, high: data.draw(st.integers(low, high)), kind)
    check = layer.check(seed=data.draw(st.integers(0, 2**16)))
    check.require()
    assert check.largest <= EXACT
    ways = {way for found in check.differences.values() for way in found}
    assert ("loop" in ways, "C" in ways) == (True, kind != "max")
    assert ("zero insertion" in ways) == (kind in ("transposed", "fractional"))


@pytest.mark.parametrize("kind", ["conv", "transposed", "average"])
@pytest.mark.parametrize("fault", ["window", "torch"])
def test_a_planted_fault_is_found(kind, fault, monkeypatch):
    layer = {
        "conv": convsmith.conv("2x5x5", 3, padding=1),
        "transposed": convsmith.conv("2x3x3", 3, stride=2, transpose=True),
        "average": convsmith.pool("2x6x6", 3, kind="average", stride=1),
    }[kind]
    op_class = type(layer.op)
    if fault == "torch":
        module = layer.op.to_torch()
        wrong = torch.nn.Sequential(module, torch.nn.Flatten())
        wrong.forward = lambda x: module(x).flip(3)
        wrong.load_state_dict = module.load_state_dict
        wrong.weight = getattr(module, "weight", None)
        monkeypatch.setattr(op_class, "to_torch", lambda self: wrong)
    else:
        matrix = op_class.matrix
        monkeypatch.setattr(op_class, "matrix", lambda self, type, weights: matrix(self, type, weights)[::-1])
    check = layer.check()
    assert check.largest > 1e-3
    with pytest.raises(GateError, match="must agree within 1e-09"):
        check.require()


@pytest.mark.parametrize("found", [(float("nan"), 0.0), (0.0, float("nan")), (0.0, float("inf")), (1.1e-9, 0.0)])
def test_a_result_that_is_no_number_or_too_far_off_does_not_pass(found):
    Check({"values": {"loop": 1e-9, "C": 0.0}}).require()
    with pytest.raises(GateError):
        Check({"values": dict(zip(("loop", "C"), found, strict=True))}).require()


@pytest.mark.parametrize(
    ("layer", "output"),
    [
        (lambda: convsmith.conv("4x4", 3), (2, 2)),  # Dumoulin and Visin, 2016, figures 2.1 to 2.7 and 4.1 to 4.7
        (lambda: convsmith.conv("5x5", 4, padding=2), (6, 6)),
        (lambda: convsmith.conv("5x5", 3, padding="same"), (5, 5)),
        (lambda: convsmith.conv("5x5", 3, padding=2), (7, 7)),
        (lambda: convsmith.conv("5x5", 3, stride=2), (2, 2)),
        (lambda: convsmith.conv("6x6", 3, stride=2, padding=1), (3, 3)),
        (lambda: convsmith.conv("7x7", 3, dilation=2), (3, 3)),
        (lambda: convsmith.conv("2x2", 3, transpose=True), (4, 4)),
        (lambda: convsmith.conv("2x2", 3, stride=2, transpose=True), (5, 5)),
        (lambda: convsmith.conv("3x3", 3, stride=2, padding=1, output_padding=1, transpose=True), (6, 6)),
        (lambda: convsmith.conv("3x3", 3, stride=Fraction(1, 2), padding=1, output_padding=1), (6, 6)),
        (lambda: convsmith.conv("224x224", 7, stride=2, padding=3), (112, 112)),
        (lambda: convsmith.conv("10x7", "3x2", stride="3x1", padding="1,0,0,2"), (3, 8)),
        (lambda: convsmith.conv((10, 7), (3, 2), stride=(3, 1), padding=((1, 0), (0, 2))), (3, 8)),
        (lambda: convsmith.pool("112x112", 3, stride=2, padding=1), (56, 56)),
        (lambda: convsmith.pool("5x5", 2, ceil_mode=True), (3, 3)),
        (lambda: convsmith.pool("5x5", 3, stride=2, padding="same", kind="average"), (3, 3)),
        (lambda: convsmith.pool("9x5", global_pool=True), (1, 1)),
    ],
)
def test_sizes_that_are_published(layer, output):
    explained = layer()
    assert explained.output.shape[2:] == output
    assert [int(formula.rpartition("= ")[2]) for formula in explained.formulas] == list(output)


@pytest.mark.parametrize(
    ("layer", "formula"),
    [
        (lambda: convsmith.conv("5x5", 3, stride=2, padding=1), "⌊(5 + 1 + 1 − 3) / 2⌋ + 1 = 3"),
        (lambda: convsmith.conv("5x6", 3, padding="0,1,0,0"),
         "height ⌊(5 + 1 − 3) / 1⌋ + 1 = 4; width ⌊(6 − 3) / 1⌋ + 1 = 4"),
        (lambda: convsmith.conv("4x4", 1), "⌊(4 − 1) / 1⌋ + 1 = 4"),
        (lambda: convsmith.conv("3x3", 3, stride="1/2", padding=2), "⌊((3 − 1) × 2 + 1 + 2 + 2 − 3) / 1⌋ + 1 = 7"),
    ],
)  # fmt: skip
def test_the_formula_holds_the_numbers(layer, formula):
    assert layer().formula == formula


def test_dropped_pixels_are_named_where_the_window_does_not_reach_or_steps_over_them():
    assert convsmith.conv("6x7", 3, stride=2).dropped == ((5,), ())
    assert convsmith.conv("9x9", 2, stride="4x3").dropped == ((2, 3, 6, 7, 8), (2, 5, 8))
    assert convsmith.conv("7x7", 3, stride=2, padding="0,1,0,0").unreached == (1, 0)
    assert convsmith.pool("5x5", 2, ceil_mode=True).dropped == ((), ())


def test_padding_taps_and_a_fully_connected_layer_are_counted_apart():
    layer = convsmith.conv("3x8x8", 3, padding=1, out_channels=5, bias=True)
    assert (layer.params, layer.terms.macs) == (5 * 27 + 5, 5 * 64 * 27)
    assert layer.real_macs == 5 * 3 * (3 * 8 - 2) ** 2 == layer.connections
    full = torch.nn.Linear(3 * 64, 5 * 64)
    assert layer.dense.params == sum(parameter.numel() for parameter in full.parameters())
    assert layer.dense.connections == full.weight.numel()


def test_weights_that_only_meet_padding_are_in_no_entry():
    matrix = convsmith.conv("1x1", 3, padding=1).matrix
    assert (matrix.shape, matrix.nonzeros, matrix.distinct, matrix.weights.tolist()) == ((1, 1), 1, 1, [4])


def test_means_of_a_pool_are_told_apart():
    matrix = convsmith.pool("5x5", 2, kind="average", ceil_mode=True).matrix
    assert matrix.values == (0.25, 0.5, 1.0)
    assert matrix.to_dict()["distinct_weights"] == 3


@pytest.mark.parametrize(
    ("kernel", "stride", "period", "even"),
    [
        (3, 2, [2, 1], False),
        (4, 2, [2, 2], True),
        (2, 3, [1, 1, 0], False),
        (5, 3, [2, 2, 1], False),
        (3, 1, [3], True),
    ],
)
def test_overlap_is_uneven_where_the_stride_does_not_divide_the_kernel(kernel, stride, period, even):
    """Odena et al., "Deconvolution and Checkerboard Artifacts", 2016; torch says how often each output is written."""
    layer = convsmith.conv("7x6", kernel, stride=stride, transpose=True)
    rows, columns = layer.overlap
    with torch.no_grad():
        ones = layer.op.to_torch()
        ones.weight.fill_(1.0)
        written = ones(torch.ones(layer.input.shape))[0, 0].round().int().numpy()
    assert np.array_equal(np.outer(rows.counts, columns.counts), written)
    assert sorted(rows.period) == sorted(period)
    assert (rows.even, columns.even) == (even, even)
    assert convsmith.conv("7x6", kernel).overlap is None


def test_a_fractional_stride_is_the_transposed_convolution_of_the_whole_one():
    layer = convsmith.conv("2x4x5", 3, stride="1/3x1/2", padding=1, output_padding="2x1", out_channels=3)
    assert layer.op == ConvTranspose2d(2, 3, (3, 3), (3, 2), (1, 1), (2, 1), bias=False)
    assert layer.output.shape == (1, 3, 12, 10)


@pytest.mark.parametrize(
    ("stride", "steps"),
    [(0.5, (2, 2)), ("0.5", (2, 2)), (1 / 3, (3, 3)), ((0.25, 1 / 7), (4, 7)), ("0.5x0.2", (2, 5)), (2.0, (2, 2))],
)
def test_a_stride_may_be_a_decimal(stride, steps):
    layer = convsmith.conv("4x5", 8, stride=stride, padding=7)
    size = {False: (4 + 14 - 8) // steps[0] + 1, True: (3 * steps[0] + 1 + 14 - 8) + 1}[stride != 2.0]
    assert (layer.op.stride, layer.output.shape[2]) == (steps, size)


def test_the_settings_become_the_operators_own():
    assert convsmith.conv("4x6x6", 3, stride=2, padding="same", groups=2).op == Conv2d(
        4, 2, (3, 3), (2, 2), ((0, 1), (0, 1)), groups=2, bias=False
    )
    assert convsmith.pool("6x6", 3, kind="average", padding=1, count_include_pad=False).op == AvgPool2d(
        (3, 3), (3, 3), ((1, 1), (1, 1)), count_include_pad=False
    )


def test_the_result_is_frozen_and_plain_data_comes_out():
    layer = convsmith.conv("6x6", 3, stride=2, matrix=True)
    with pytest.raises(FrozenInstanceError):
        layer.op = None
    facts = layer.to_dict()
    assert (facts["output"], facts["dropped"]) == ([2, 2], {"rows": [5], "columns": [5]})
    assert facts["receptive_field"]["size"] == [3, 3]
    assert facts["matrix"]["shape"] == [4, 36]


BAD = {
    "conv": [
        ({"kernel": 5}, r"conv: kernel_size does not fit .*\(5, 5\).*smaller kernel"),
        ({"kernel": 3, "stride": 0}, r"conv: stride must be above zero .*'0'.*1/2"),
        ({"kernel": 3, "stride": -2}, r"conv: stride must be above zero .*'-2'"),
        ({"kernel": 3, "stride": "2/3"}, r"conv: stride must be a whole number or 1/n .*'2/3'"),
        ({"kernel": 3, "stride": "1/0"}, r"conv: stride must be .*'1/0'"),
        ({"kernel": 3, "stride": ("1/2", 2)}, r"conv: stride must not shrink one axis and enlarge the other"),
        ({"kernel": 3, "groups": 2}, r"conv: groups must divide in_channels 1 .*2.*divisor"),
        ({"kernel": 3, "groups": 0}, r"conv: groups must be a positive integer .*0.*divisor"),
        ({"kernel": 3, "transpose": True, "stride": 2, "output_padding": 2},
         r"conv: output_padding must be below stride .*\(2, 2\).*smaller"),
        ({"kernel": 3, "stride": "1/2", "output_padding": 3}, r"conv: output_padding must be below stride"),
        ({"kernel": 3, "output_padding": 1}, r"conv: output_padding needs a map that is enlarged .*--transpose"),
        ({"kernel": 3, "stride": "1/2", "padding": "same"}, r"conv: padding must be numbers .*'same'.*give numbers"),
        ({"kernel": 3, "transpose": True, "padding": "same"}, r"conv: padding must be numbers .*'same'"),
        ({"kernel": 3, "stride": "1/2", "padding": 3}, r"conv: padding must be from 0 to .* = 2 .*reads no pixel"),
        ({"kernel": 3, "stride": "1/2", "padding": "2,1,0,0"}, r"conv: padding after must not be below"),
        ({"kernel": 3, "stride": "1/2", "transpose": True}, r"conv: stride of a transposed .*whole .*--transpose out"),
        ({"kernel": 3, "transpose": True, "padding": "1,0,0,0"}, r"conv: padding of a transposed .*both sides"),
        ({"kernel": 3, "transpose": True, "padding": 5}, r"conv: padding cuts away the whole map.*\(5, 5\)"),
        ({"kernel": 3, "padding": "1,2,3"}, r"conv: padding must be 1, 2 or 4 whole numbers .*'1,2,3'"),
        ({"kernel": 3, "padding": ((1, 2), 3)}, r"conv: padding must be 1, 2 or 4 whole numbers"),
        ({"kernel": 3, "padding": -1}, r"conv: padding must be at least 0 .*-1"),
        ({"kernel": 3, "padding": "some"}, r"conv: padding must be .*'some'"),
        ({"kernel": "1/2"}, r"conv: kernel must be whole .*'1/2'"),
        ({"kernel": 0, "padding": "same"}, r"conv: kernel must be at least 1 .*0"),
        ({"kernel": (1, 2, 3)}, r"conv: kernel must be one number"),
        ({"kernel": 3, "dilation": 0}, r"conv: dilation must be at least 1"),
        ({"kernel": 10**6}, r"conv: kernel must be at most 100,000"),
        ({"kernel": 3, "out_channels": 0}, r"conv: out_channels must be a positive integer .*0"),
        ({"kernel": 3, "stride": 0.3}, r"conv: stride must be a whole number or 1/n .*'0.3'"),
        ({"kernel": 3, "stride": float("nan")}, r"conv: stride must be one number"),
        ({"kernel": 2.5}, r"conv: kernel must be whole .*2.5"),
        ({"kernel": None}, r"conv: kernel must be one number, .*None"),
        ({"kernel": 3, "padding": 0.5}, r"conv: padding must be whole .*0.5"),
        ({"kernel": 3, "padding": None}, r"conv: padding must be one number, .*None"),
        ({"input": 4, "kernel": 3}, r"conv: input must be HxW or CxHxW .*4.*4x4"),
        ({"input": "4", "kernel": 3}, r"conv: input must be HxW or CxHxW .*'4'.*4x4"),
        ({"input": "1000000x4", "kernel": 3}, r"conv: input must have at most 100,000"),
    ],
    "pool": [
        ({}, r"pool: kernel must be given.*--global"),
        ({"kernel": 5}, r"pool: kernel_size does not fit .*\(5, 5\)"),
        ({"kernel": 2, "stride": 0, "padding": "same"}, r"pool: stride must be above zero .*'0'"),
        ({"kernel": 2, "stride": "1/2"}, r"pool: stride of a pool must be whole .*'1/2'"),
        ({"kernel": 3, "padding": 2}, r"pool: padding must be at most half the kernel .*smaller padding"),
        ({"kernel": 2, "kind": "mean"}, r"pool: kind must be one of max, average .*'mean'"),
        ({"kernel": 2, "global_pool": True}, r"pool: global pooling takes the whole map"),
        ({"kernel": 2, "kind": "average", "dilation": 2}, r"pool: dilation of average pooling must be 1 .*\(2, 2\)"),
        ({"kernel": 2, "count_include_pad": False}, r"pool: padding counts only in a mean.*average"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "options", "message"), [(name, *one) for name, listed in BAD.items() for one in listed]
)
def test_settings_that_cannot_be_are_refused_with_rule_value_and_remedy(command, options, message):
    with pytest.raises(ConvsmithError, match=message) as caught:
        getattr(convsmith, command)(**{"input": "4x4", **options})
    assert caught.value.exit_code == 2
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_too_much_is_refused_before_it_is_begun():
    layer = convsmith.conv("64x64x64", 3, padding=1, out_channels=64)
    with pytest.raises(OpError, match=r"matrix must have at most 5,000,000 entries .*147865600.*smaller map"):
        _ = layer.matrix
    with pytest.raises(OpError, match=r"at most 2,000,000 multiply-adds .*smaller map"):
        layer.check()
    with pytest.raises(OpError, match=r"pool: must be linear .*MaxPool2d.*average pooling"):
        _ = convsmith.pool("4x4", 2).matrix


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["conv", "--input", "4x4", "--kernel", "3"], ["pool", "--input", "4x4", "--global"]]
)
def test_explaining_a_layer_starts_without_torch_scipy_and_pillow(arguments):
    heavy = ("torch", "scipy", "PIL", "matplotlib", "convsmith.training")
    shown = f"print([name for name in {heavy} if name in sys.modules])"
    program = f"import sys; from convsmith.cli.main import run; run({arguments}); {shown}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\n[]\n")
