"""The text form: what is written, that it reads back, and what is said about a line that does not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convsmith.errors import GraphError
from convsmith.ir import Graph, Node, TensorType
from convsmith.ir.text import read_graph, read_op, write_graph, write_op
from convsmith.ops import ALL_OPS, Add, Constant, Conv2d, MaxPool2d, Opaque, Pad, ReLU, Resize, Scalar, Softmax
from tests.ir.samples import IMAGE, graphs, residual

RESIDUAL = """\
graph "residual"
input input: float32[1, 3, 8, 8]
stem.conv = Conv2d(in_channels=3, out_channels=4, kernel_size=(3, 3), padding=((1, 1), (1, 1)), bias=False) <- input
block.branch.conv = Conv2d(in_channels=4, out_channels=4, kernel_size=(3, 3), padding=((1, 1), (1, 1))) <- stem.conv
block.branch.norm = BatchNorm2d(num_features=4) <- block.branch.conv
block.add = Add() <- stem.conv, block.branch.norm
relu = ReLU() <- block.add
output relu
"""

ODD_NAMES = [
    "two words",
    'a "quoted" name',
    "it's",
    "back\\slash",
    "卷积.第一层",
    "graph",
    "output",
    "shares",
    "",
    " ",
    ") <- a, ",
    '") <- "',
    "new\nline",
    "line\u2028separator",
    "next\x85line",
    "form\x0cfeed",
    "tab\tand\rreturn",
    "x = ReLU() <- y",
    "a, b",
]


def named(first: str, second: str) -> Graph:
    nodes = (
        Node(first, ReLU(), ("input",)),
        Node("conv", Conv2d(3, 3, 1), (first,)),
        Node(second, Conv2d(3, 3, 1), ("conv",), shares="conv"),
        Node("sum", Add(), (first, second)),
    )
    return Graph(first, (("input", IMAGE),), nodes, (second, "sum", first))


def test_text_of_a_graph():
    assert write_graph(residual()) == RESIDUAL
    assert read_graph(RESIDUAL, ALL_OPS) == residual()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_reads_back(name):
    for graph in (named(name, "plain"), named("plain", name)):
        text = write_graph(graph)
        assert read_graph(text, ALL_OPS) == graph
        assert text.count("\n") == 7


def test_any_name_of_an_input_and_of_an_owner_reads_back():
    nodes = (Node("the owner", Conv2d(3, 3, 1), ("picture (left)",)),)
    nodes += (Node("again", Conv2d(3, 3, 1), ("the owner",), shares="the owner"),)
    graph = Graph("net", (("picture (left)", IMAGE), ("number", TensorType((), "int64"))), nodes, ("again",))
    assert read_graph(write_graph(graph), ALL_OPS) == graph


def test_text_of_a_node_without_inputs():
    nodes = (Node("scale", Constant((3, 1, 1)), ()), Node("again", Constant((3, 1, 1)), (), shares="scale"))
    nodes += (Node("sum", Add(), ("scale", "again")),)
    graph = Graph("constants", (), nodes, ("sum",))
    text = write_graph(graph)
    assert text == (
        'graph "constants"\nscale = Constant(shape=(3, 1, 1))\nagain = Constant(shape=(3, 1, 1)) shares scale\n'
        "sum = Add() <- scale, again\noutput sum\n"
    )
    assert read_graph(text, ALL_OPS) == graph


awkward = st.text(alphabet="ab) <-,\"'\\=()sharesx\n", max_size=12) | st.sampled_from(ODD_NAMES)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(awkward, min_size=4, max_size=4, unique=True), awkward.filter(bool), st.booleans())
def test_names_and_attributes_cannot_be_taken_for_the_grammar(names, function, reads):
    """With and without inputs and an owner, whatever the names and the text of an attribute look like."""
    first, second, third, last = names
    op = Opaque(function, (1,))
    inputs = (second, first) if reads else ()
    nodes = (Node(first, op, ()), Node(second, op, (), shares=first), Node(third, op, inputs))
    nodes += (Node(last, op, inputs[:1], shares=third),)
    graph = Graph("odd", (), nodes, (last,))
    assert read_graph(write_graph(graph), (Opaque,)) == graph


@pytest.mark.parametrize("value", [math.inf, -math.inf, 0.1, 3, 1e-300])
def test_any_number_reads_back(value):
    assert read_op(write_op(Scalar("add", value)), ALL_OPS) == Scalar("add", value)


@pytest.mark.slow
@settings(max_examples=100)
@given(graphs())
def test_any_graph_reads_back(graph):
    text = write_graph(graph)
    again = read_graph(text, ALL_OPS)
    assert again == graph
    assert write_graph(again) == text


def test_blank_lines_and_carriage_returns_do_not_matter():
    assert read_graph(RESIDUAL.replace("\n", "\r\n\r\n"), ALL_OPS) == residual()


@pytest.mark.parametrize(
    ("text", "op"),
    [
        ("ReLU()", ReLU()),
        ("MaxPool2d(kernel_size=2)", MaxPool2d(2)),
        ("Resize(size=(4, 6), mode='bilinear', align_corners=True)", Resize((4, 6), "bilinear", True)),
        ("Constant(shape=8, learned=False)", Constant((8,), learned=False)),
        ("Pad(padding=1, value=-1e999)", Pad(1, value=-math.inf)),
        ("Softmax(axis=1)", Softmax()),
    ],
)
def test_operators_may_be_written_by_hand(text, op):
    assert read_op(text, ALL_OPS) == op
    assert read_op(write_op(op), ALL_OPS) == op


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ReLU", "must read Name"),
        ("ReLU(", "must read Name"),
        ("ReLU(3)", "must read Name"),
        ("ops.ReLU()", "must read Name"),
        ("Dropout(p=open('file'))", "must read Name"),
        ("Dropout(p={[]: 1})", "must read Name"),
        ("Dropout(p=0.1, p=0.2)", "must read Name"),
        ("Swish()", r"no operator has this name \(received 'Swish'\); did you mean HardSwish\?"),
        ("Mystery()", r"no operator has this name \(received 'Mystery'\)$"),
        ("Scalar(function='add', value=inf)", "must read Name"),
        ("Dropout(q=0.1)", "attributes of Dropout do not fit"),
        ("Dropout(p='half')", "attributes of Dropout do not fit"),
        ("Dropout(**{'p': 0.1})", "attributes of Dropout do not fit"),
        ("Conv2d(in_channels=3)", "attributes of Conv2d do not fit"),
    ],
)
def test_text_that_is_no_operator_is_refused(text, message):
    with pytest.raises(GraphError, match=message):
        read_op(text, ALL_OPS)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("relu: ReLU() <- input", "a line must be a graph, input, node or output"),
        ("relu = ReLU()", "an operator with inputs must be followed by <- and their names"),
        ("relu = ReLU() shares stem.conv", "an operator with inputs must be followed by"),
        ("scale = Constant(shape=(3,)) <-", "a line must be"),
        ("relu = ReLU() <- in put", "a line must be"),
        ("input x: float31[1, 3]", "a line must be"),
        ("input x: float32[1,3]", "a line must be"),
        ("input x: float32[1, -3]", "a line must be"),
        ("graph name", "a line must be"),
        ('graph "\\q"', "a line must be"),
        ("output relu logits", "a line must be"),
        ("relu = Swish() <- input", "no operator has this name"),
        ("scale = Constant(shape=(0,))", "Constant: shape must be"),
        ("relu = ReLU(3) <- input", "an operator must read"),
        ("conv = Conv2d(in_channels=3, out_channels=0, kernel_size=(3, 3)) <- input", "Conv2d: out_channels must be"),
    ],
)
def test_a_line_that_is_not_understood_is_named_by_its_number(line, message):
    lines = RESIDUAL.splitlines()
    with pytest.raises(GraphError, match=f"^line 4: {message}") as caught:
        read_graph("\n".join((*lines[:3], line, *lines[3:])), ALL_OPS)
    assert "\n" not in str(caught.value)


def test_lines_that_form_no_graph_are_refused():
    with pytest.raises(GraphError, match=r"nothing before it gives .*'stem\.conv'"):
        read_graph("\n".join(line for line in RESIDUAL.splitlines() if not line.startswith("stem")), ALL_OPS)
