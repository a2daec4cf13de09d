"""Graphs: what is refused, what is known about every value, and what may be released when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from convsmith.errors import GraphError, OpError
from convsmith.ir import Builder, Graph, Node, TensorType
from convsmith.ops import Add, Concat, Conv2d, Flatten, Linear, MaxPool2d, ReLU
from tests.ir.samples import IMAGE, graphs, residual


def test_scopes_name_the_nodes():
    names = [node.name for node in residual().nodes]
    assert names == ["stem.conv", "block.branch.conv", "block.branch.norm", "block.add", "relu"]


def test_a_scope_ends_when_its_body_fails():
    build = Builder("net")
    x = build.input(IMAGE)
    with pytest.raises(OpError), build.scope("stem"):
        build.add(Conv2d(5, 4, 3), x, name="conv")
    assert build.add(ReLU(), x, name="relu") == "relu"


def test_builder_knows_types_on_the_way():
    build = Builder("net")
    x = build.add(Conv2d(3, 16, 3, 2), build.input(IMAGE), name="conv")
    assert build.type(x) == TensorType((1, 16, 3, 3))
    assert build.channels(x) == 16


def test_builder_refuses_a_name_twice_and_names_the_shape_of_a_misfit():
    build = Builder("net")
    x = build.input(IMAGE)
    build.add(ReLU(), x, name="act")
    with pytest.raises(GraphError, match=r"names must be unique.*'act'"):
        build.add(ReLU(), x, name="act")
    with pytest.raises(OpError, match=r"^head\.conv: Conv2d: in_channels .* \(received 4\) on input \[1, 3, 8, 8\]$"):
        with build.scope("head"):
            build.add(Conv2d(4, 4, 3), x, name="conv")


def test_types_of_every_value():
    graph = residual()
    assert graph.types == {"input": IMAGE} | {node.name: TensorType((1, 4, 8, 8)) for node in graph.nodes}
    assert graph.input_types(graph.node("block.add")) == (TensorType((1, 4, 8, 8)),) * 2


def test_a_misfit_on_other_inputs_names_node_and_shapes():
    build = Builder("net")
    x = build.input(IMAGE)
    y = build.add(MaxPool2d(2), x, name="pool")
    y = build.add(Linear(48, 10), build.add(Flatten(), y, name="flat"), name="fc")
    graph = build.graph(y)
    assert graph.with_inputs(TensorType((7, 3, 8, 8))).types["fc"].shape == (7, 10)
    with pytest.raises(OpError, match=r"^fc: Linear: in_features .*48.* on input \[1, 192\]$"):
        _ = graph.with_inputs(TensorType((1, 3, 16, 16))).types
    with pytest.raises(OpError, match=r"^pool: .* on input \[1, 3, 1, 8\]$"):
        _ = graph.with_inputs(TensorType((1, 3, 1, 8))).types


def test_all_inputs_of_a_misfit_are_shown():
    nodes = (Node("add", Add(), ("a", "b")),)
    graph = Graph("net", (("a", IMAGE), ("b", TensorType((1, 3, 4, 8)))), nodes, ("add",))
    with pytest.raises(OpError, match=r"^add: .* on input \[1, 3, 8, 8\] and \[1, 3, 4, 8\]$"):
        _ = graph.types


RELU = Node("relu", ReLU(), ("input",))
CONV = Node("conv", Conv2d(3, 3, 1), ("input",))
AGAIN = Node("again", Conv2d(3, 3, 1), ("conv",), shares="conv")


@pytest.mark.parametrize(
    ("inputs", "nodes", "outputs", "message"),
    [
        (("input", "input"), (RELU,), ("relu",), "names must be unique .*'input'"),
        (("input",), (RELU, RELU), ("relu",), "names must be unique .*'relu'"),
        (("input", "relu"), (RELU,), ("relu",), "names must be unique .*'relu'"),
        (("input",), (AGAIN, CONV), ("conv",), "node 'again' reads a value that nothing before it gives .*'conv'"),
        (("input",), (replace(RELU, inputs=("relu",)),), ("relu",), "node 'relu' reads .*'relu'"),
        (("input",), (RELU,), ("logits",), "an output must be the value of a node .*'logits'"),
        (
            ("input",),
            (CONV, replace(AGAIN, shares="input")),
            ("again",),
            "node 'again' must share with an earlier node .*'input'",
        ),
        (
            ("input",),
            (CONV, replace(AGAIN, shares="again")),
            ("again",),
            "node 'again' must share with an earlier node .*'again'",
        ),
        (("input",), (CONV, AGAIN, replace(AGAIN, name="third", shares="again")), ("third",), "node 'third' .*'again'"),
    ],
)
def test_nodes_that_form_no_graph_are_refused(inputs, nodes, outputs, message):
    with pytest.raises(GraphError, match=f"^net: {message}"):
        Graph("net", tuple((name, IMAGE) for name in inputs), nodes, outputs)


def test_a_graph_may_return_its_input():
    assert Graph("net", (("input", IMAGE),), (), ("input",)).types["input"] == IMAGE


def test_an_unknown_node_is_refused():
    with pytest.raises(GraphError, match=r"^residual: no node has this name .*'stem'"):
        residual().node("stem")


def test_parameters_by_full_name():
    assert residual().param_shapes == {
        "stem.conv.weight": (4, 3, 3, 3),
        "block.branch.conv.weight": (4, 4, 3, 3),
        "block.branch.conv.bias": (4,),
        "block.branch.norm.weight": (4,),
        "block.branch.norm.bias": (4,),
    }


def test_shared_parameters_are_stored_once():
    graph = Graph("net", (("input", IMAGE),), (CONV, AGAIN), ("again",))
    assert graph.param_shapes == {"conv.weight": (3, 3, 1, 1), "conv.bias": (3,)}
    assert [node.weights for node in graph.nodes] == ["conv", "conv"]


def test_last_uses_of_a_residual_block():
    assert residual().last_uses == {
        "stem.conv": {"input"},
        "block.branch.conv": set(),
        "block.branch.norm": {"block.branch.conv"},
        "block.add": {"stem.conv", "block.branch.norm"},
        "relu": {"block.add"},
    }


def test_a_value_read_twice_by_one_node_is_released_once():
    nodes = (RELU, Node("both", Concat(), ("relu", "relu")), Node("end", ReLU(), ("both",)))
    graph = Graph("net", (("input", IMAGE),), nodes, ("end", "input"))
    assert graph.last_uses == {"relu": set(), "both": {"relu"}, "end": {"both"}}


@settings(max_examples=60)
@given(graphs())
def test_running_and_releasing_leaves_the_outputs_alone(graph):
    """Nothing is released before its last reader, nothing is kept that neither a later node nor the caller reads."""
    alive = {name for name, _ in graph.inputs}
    never_read = alive - {value for node in graph.nodes for value in node.inputs}
    for index, node in enumerate(graph.nodes):
        assert alive.issuperset(node.inputs)
        alive.add(node.name)
        released = graph.last_uses[node.name]
        assert released <= alive
        alive -= released
        later = {value for after in graph.nodes[index + 1 :] for value in after.inputs} | set(graph.outputs)
        read_later = {name for name in alive if name in later}
        assert alive - read_later <= never_read
    assert alive >= set(graph.outputs)
