"""S4: a stride of 1/n is a setting of a stage like any other, from the file to the module, the ONNX file and back."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import convsmith
from convsmith.analysis import cost, receptive_fields
from convsmith.cli.main import run
from convsmith.design import Stage, lower, make_design, parse_design, write_design
from convsmith.design.model import BLOCKS
from convsmith.interop.onnx_file import run_onnx, write_onnx
from convsmith.interop.onnx_reader import read_onnx
from convsmith.interop.torch_module import build
from convsmith.interop.weights import weights_of
from convsmith.ops import Conv2d, ConvTranspose2d
from convsmith.scaling import price

ENLARGING = ("conv", "plain", "residual", "bottleneck", "depthwise", "inverted_residual")


def design(block="conv", n=2, size=5, channels=3, **keys):
    stages = [{"block": block, "depth": 2, "width": 8, "stride": f"1/{n}", **keys}]
    return make_design(
        {
            "name": "enlarging",
            "input": [channels, size, size + 1],
            "stem": {"block": "conv", "width": 4},
            "stage": stages,
            "head": {"task": "classify", "classes": 3},
        }
    )


@pytest.mark.parametrize("block", ENLARGING)
@pytest.mark.parametrize("n", [2, 3])
def test_every_block_that_enlarges_multiplies_the_map_by_n_and_trains(block, n):
    graph = lower(design(block, n))
    assert graph.types[graph.node("head.pool").inputs[0]].shape == (1, 8, 5 * n, 6 * n)
    network = build(graph).train()
    loss = network(torch.randn(4, 3, 5, 6)).square().sum()
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize("n", [2, 3])
def test_every_pixel_of_an_enlarged_map_gets_its_share_of_the_shortcut(n):
    """A kernel of one pixel would leave blanks between those that the shortcut reaches."""
    network = build(lower(design("residual", n, norm="none")))
    shortcut = network.get_submodule("stage1.block1.shortcut.conv")
    with torch.no_grad():
        shortcut.bias.zero_()
        stamped = shortcut(torch.rand(1, 4, 5, 6) + 0.1)
    assert stamped.shape == (1, 8, 5 * n, 6 * n)
    assert (stamped != 0).all()


def test_the_blocks_that_take_a_fraction_are_these():
    for block in ENLARGING:
        design(block)
    for block in set(BLOCKS) - set(ENLARGING):
        with pytest.raises(convsmith.ConvsmithError, match="cannot enlarge"):
            design(block)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9), st.integers(2, 6), st.integers(1, 6), st.integers(1, 7), st.sampled_from([1, 2, 4]), st.data()
)
def test_both_lowerings_give_the_same_values_and_gradients(kernel, n, high, wide, groups, data):
    """Of a stage in a design: the transposed convolution, and blanks before a convolution at stride one."""
    dilation = data.draw(st.integers(1, 3))
    stage = {"block": "conv", "depth": 1, "width": 8, "stride": f"1/{n}", "kernel": kernel, "groups": groups}
    values = design().model_dump() | {
        "input": (3, high, wide),
        "stage": ({**stage, "dilation": dilation, "norm": "none"},),
    }
    graph = lower(make_design(values))
    (place,) = [node for node in graph.nodes if isinstance(node.op, ConvTranspose2d)]
    assert graph.types[place.name].shape == (1, 8, high * n, wide * n)
    other = convsmith.rewrite(graph, "zero-insertion").graph
    assert isinstance(other.node(place.name).op, Conv2d)
    assert other.node(place.name).op.stride == (1, 1)
    torch.manual_seed(0)
    one, two = build(graph).double(), build(other).double()
    state = one.state_dict()
    weight = state[f"{place.name}.weight"]
    flipped = place.op.sliding_kernel(weight.numpy()).copy()
    two.load_state_dict({**state, f"{place.name}.weight": torch.from_numpy(flipped)})
    image = torch.randn(2, 3, high, wide, dtype=torch.float64, requires_grad=True)
    sought = torch.randn(2, 3, dtype=torch.float64)
    results = [net(image) for net in (one, two)]
    assert_same(*results)
    assert_same(*(torch.autograd.grad(result, image, sought, retain_graph=True)[0] for result in results))
    kernels = [net.get_parameter(f"{place.name}.weight") for net in (one, two)]
    by_kernel = [
        torch.autograd.grad(result, kernel, sought)[0] for result, kernel in zip(results, kernels, strict=True)
    ]
    assert_same(torch.from_numpy(place.op.sliding_kernel(by_kernel[0].numpy()).copy()), by_kernel[1])


def assert_same(one, other):
    assert one.shape == other.shape
    assert (one - other).abs().max().item() <= 1e-12


def test_the_matrix_of_the_stage_is_that_of_the_halving_convolution_transposed():
    graph = lower(design(n=2, size=4, kernel=3, norm="none"))
    node = next(node for node in graph.nodes if isinstance(node.op, ConvTranspose2d))
    (type,), op = graph.input_types(node), node.op
    weight = np.random.default_rng(0).standard_normal((op.in_channels, op.out_channels, 3, 3))
    halving = Conv2d(op.out_channels, op.in_channels, op.kernel_size, op.stride, ((1, 1), (1, 1)), bias=False)
    there = halving.matrix(graph.types[node.name], {"weight": weight})
    assert abs(op.matrix(type, {"weight": weight}) - there.T).max() == 0


def test_cost_field_and_memory_are_those_of_the_transposed_convolution(tmp_path, capsys):
    path = tmp_path / "up.toml"
    path.write_text(write_design(design(n=2, size=8, kernel=4, norm="none", activation="none")))
    assert 'stride = "1/2"' in path.read_text()
    assert run(["inspect", str(path), "--json"]) == 0
    layers = {layer["name"]: layer for layer in json.loads(capsys.readouterr().out)["layers"]}
    layer = layers["stage1.block1.conv1.conv"]
    assert layer["macs"] == 4 * 8 * 9 * 8 * 16  # every pixel meets the whole kernel once
    assert layer["params"] == 4 * 8 * 16 + 8
    assert layer["output"] == [1, 8, 16, 18]
    assert layer["receptive_field"]["jump"] == [0.5, 0.5]
    assert layer["receptive_field"]["size"] == [4, 4]  # 3 of the stem, and 4 taps half a pixel apart: 2 pixels of it
    module = build(lower(parse_design(path.read_text()))).double().eval()
    seen = gradient_box(module, 8, 9)
    assert max(seen) <= 4


def test_the_page_of_inspect_shows_it_as_a_stride_below_one(tmp_path, capsys):
    path = tmp_path / "up.toml"
    path.write_text(write_design(design(n=3)))
    assert run(["inspect", str(path), "--format", "html", "--out", str(tmp_path / "up.html")]) == 0
    assert "3 × 3 /(1/3)" in (tmp_path / "up.html").read_text()
    assert run(["inspect", str(path), "--layers"]) == 0
    assert "ConvTranspose2d" in capsys.readouterr().out
    assert run(["scale", str(path), "--width", "2"]) == 0
    assert 'stride = "1/3"' in capsys.readouterr().out


def gradient_box(module, height, width):
    """Rows and columns of the image that one unit behind the enlarging stage reads."""
    image = torch.randn(1, 3, height, width, dtype=torch.float64, requires_grad=True)
    values = []
    layer = module.get_submodule("stage1.block1.conv1.conv")
    layer.register_forward_hook(lambda *called: values.append(called[2]))
    module(image)
    (gradient,) = torch.autograd.grad(values[0][0, :, 8, 9].sum(), image)
    read = gradient[0].abs().sum(0) != 0
    return int(read.any(1).sum()), int(read.any(0).sum())


def test_an_onnx_file_of_it_gives_the_same_numbers_and_reads_back(tmp_path):
    graph = lower(design("residual", 3))
    module = build(graph).eval()
    path = write_onnx(graph, weights_of(module), tmp_path / "up.onnx")
    image = torch.randn(1, 3, 5, 6)
    with torch.inference_mode():
        assert np.allclose(run_onnx(path)(image.numpy()), module(image).numpy(), atol=1e-5)
    there = cost(read_onnx(path).graph)
    assert (there.params, there.macs) == (cost(graph).params, cost(graph).macs)


def test_it_is_priced_and_scaled_like_any_other_stage():
    before = design("inverted_residual", 2)
    assert (price(before).macs, price(before).params) == (cost(lower(before)).macs, cost(lower(before)).params)
    wider = convsmith.scale(before, width=2.0).design
    assert wider.stage[0].stride == before.stage[0].stride
    up = convsmith.scale(before, macs=4 * price(before).macs, rule="width_only").design
    assert 0.9 * 4 * price(before).macs <= price(up).macs <= 4 * price(before).macs


def test_it_reads_back_from_its_own_file():
    written = write_design(design("plain", 16))
    assert parse_design(written) == design("plain", 16)
    assert parse_design(written).stage[0].stride == pytest.approx(1 / 16)


@pytest.mark.parametrize("value", ['"2/3"', "0.5", "0", "-1", '"1/0"', '"1/17"', "17", '"half"', "true", '"-1/2"'])
def test_what_is_no_stride_is_refused_with_the_rule_the_value_the_place_and_the_remedy(value, tmp_path, capsys):
    path = tmp_path / "bad.toml"
    path.write_text(write_design(design()).replace('stride = "1/2"', f"stride = {value}"))
    assert run(["inspect", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for part in ("stage[1].stride", "whole number from 1 to 16", "received", '"1/2" to double it', str(path)):
        assert part in error


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"downsampling": "max_pool"}, ["downsampling", "pooling cannot enlarge", "'max_pool'", "1/2"]),
        ({"block": "inverted_residual", "padding": "same"}, ["padding", "'same'", "1/2"]),
        ({"block": "shuffle"}, ["stage[1].stride", "this block cannot enlarge", "'1/2'", "residual"]),
    ],
)
def test_what_cannot_enlarge_is_refused(keys, expected):
    with pytest.raises(convsmith.ConvsmithError) as caught:
        lower(design(**keys))
    message = str(caught.value)
    assert "\n" not in message
    for part in expected:
        assert part in message


def test_python_takes_a_fraction_and_the_schema_says_so():
    assert Stage(block="conv", depth=1, width=4, stride=2).stride == 2
    schema = type(design()).model_json_schema()["$defs"]["conv_stage"]["properties"]["stride"]
    assert {one["type"] for one in schema["anyOf"]} == {"integer", "string"}
    assert receptive_fields(lower(design()))["stage1.block2.conv1.act"].jump == pytest.approx((0.5, 0.5))
