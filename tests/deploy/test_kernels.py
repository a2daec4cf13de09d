"""The kernels that are planned are those that onnxruntime itself says it runs."""

from __future__ import annotations

from collections import Counter

import onnx
import pytest

from convsmith.deploy.calibrate import runtime_block
from convsmith.deploy.kernels import plan_kernels
from convsmith.deploy.trials import make_weights
from convsmith.design import lower, parse_design, zoo
from convsmith.interop.onnx_file import open_session, write_onnx
from convsmith.ir import Graph
from convsmith.ops import Conv2d

STAGES = """
name = "small"
input = [3, 32, 32]
[stem]
block = "conv"
width = {width}
activation = "{activation}"
norm = "{norm}"
[[stage]]
block = "{block}"
depth = 2
width = {wider}
stride = 2
activation = "{activation}"
norm = "{norm}"
{option}
[head]
task = "classify"
classes = 10
"""

CASES = [
    # activation, norm, block, width, wider, option
    ("relu", "batch", "residual", 16, 32, ""),
    ("relu6", "batch", "residual", 16, 32, ""),  # no convolution can cut at six after an addition
    ("hardsigmoid", "none", "residual", 20, 36, "drop_path = 0.1"),
    ("relu", "batch", "residual", 18, 30, ""),  # widths that do not fit blocks
    ("silu", "batch", "inverted_residual", 16, 32, "se_ratio = 0.25"),
    ("hardswish", "batch", "inverted_residual", 24, 17, ""),
    ("relu6", "batch", "inverted_residual", 16, 32, "expansion = 1"),
    ("gelu", "batch", "bottleneck", 16, 32, "se_ratio = 0.25"),
    ("relu", "batch", "bottleneck", 32, 64, "groups = 2"),
    ("relu", "layer", "bottleneck", 16, 32, ""),
    ("relu", "batch", "plain", 16, 32, 'downsampling = "avg_pool"'),
    ("none", "batch", "plain", 18, 30, 'downsampling = "max_pool"'),
    ("sigmoid", "batch", "depthwise", 16, 32, "kernel = 5"),
]


def planned(graph: Graph) -> Counter[tuple[str, bool, bool]]:
    """Convolutions by (blocked, activates, adds), and changes of layout by direction."""
    kernels = plan_kernels(graph, runtime_block())
    convolutions = (kernel for kernel in kernels if isinstance(kernel.op, Conv2d))
    changes = (kernel for kernel in kernels if kernel.op is None)
    return Counter(
        [
            *(("blocks" if k.blocked else "planes", bool(k.activation), k.adds) for k in convolutions),
            *(("reorder", k.blocked, False) for k in changes),
        ]
    )


def run(graph: Graph, folder) -> Counter[tuple[str, bool, bool]]:
    """The same, from the graph that onnxruntime makes of the file."""
    path = write_onnx(graph, make_weights(graph), folder / "model.onnx")
    open_session(path, optimized=folder / "optimized.onnx")
    nodes = onnx.load(folder / "optimized.onnx").graph.node
    found = Counter()
    for node in nodes:
        if node.op_type in ("Conv", "FusedConv"):
            attributes = {attribute.name for attribute in node.attribute}
            kind = "blocks" if node.domain.endswith("nchwc") else "planes"
            found[kind, "activation" in attributes, len(node.input) > 3] += 1
        elif node.op_type.startswith("Reorder"):
            found["reorder", node.op_type == "ReorderInput", False] += 1
    return found


@pytest.mark.parametrize(("activation", "norm", "block", "width", "wider", "option"), CASES)
def test_small_networks_are_fused_and_laid_out_as_onnxruntime_does_it(
    activation, norm, block, width, wider, option, tmp_path
):
    text = STAGES.format(activation=activation, norm=norm, block=block, width=width, wider=wider, option=option)
    graph = lower(parse_design(text))
    assert planned(graph) == run(graph, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2", "efficientnet-b0"])
def test_networks_of_the_zoo_too(name, tmp_path):
    graph = lower(zoo.load(name))
    assert planned(graph) == run(graph, tmp_path)


def test_every_node_has_one_kernel_or_is_done_in_passing_or_does_nothing():
    graph = lower(zoo.load("efficientnet-b0"))
    kernels = [kernel for kernel in plan_kernels(graph, 8) if kernel.op is not None]
    covered = Counter(name for kernel in kernels for name in (kernel.node, *kernel.absorbed))
    assert set(covered.values()) == {1}
    left = {node.name for node in graph.nodes} - set(covered)
    assert {type(graph.node(name).op).__name__ for name in left} == {"Dropout"}


def test_without_blocks_every_map_lies_in_planes():
    assert not any(kernel.blocked for kernel in plan_kernels(lower(zoo.load("mobilenet-v2")), 1))
