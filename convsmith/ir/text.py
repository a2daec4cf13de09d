"""The text form of a graph: one node a line, only what differs from the defaults, and back again.

graph "tiny"
input input: float32[1, 3, 8, 8]
stem.conv = Conv2d(in_channels=3, out_channels=4, kernel_size=(3, 3)) <- input
scale = Constant(shape=(1, 4, 1, 1))
stem.scaled = Mul() <- stem.conv, scale
output stem.scaled
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable

from convsmith.errors import GraphError, OpError, did_you_mean
from convsmith.ir.graph import Graph, Node
from convsmith.ir.op import Op
from convsmith.ir.types import ITEM_BYTES, TensorType

_STRING = r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"'
_NAME = rf"(?:[A-Za-z0-9_./:-]+|{_STRING})"
_NAMES = rf"{_NAME}(?:, {_NAME})*"
_GRAPH = re.compile(rf"graph ({_STRING})")
_INPUT = re.compile(rf"input ({_NAME}): ({'|'.join(ITEM_BYTES)})\[((?:\d+(?:, \d+)*)?)\]")
_NODE = re.compile(rf"({_NAME}) = (\w+\(.*\))(?: <- ({_NAMES}))?(?: shares ({_NAME}))?")
_OUTPUT = re.compile(rf"output(?: ({_NAMES}))?")
_PLAIN = re.compile(r"[A-Za-z0-9_./:-]+")


def write_op(op: Op) -> str:
    """An operator as ``Name(attr=value, ...)``, defaults left out."""
    return f"{type(op).__name__}({', '.join(f'{name}={_literal(value)}' for name, value in op.attrs().items())})"


def read_op(text: str, ops: Iterable[type[Op]]) -> Op:
    """Read what ``write_op`` wrote, with ``ops`` as the known operators.

    Raises:
        GraphError: If the text is not an operator with literal attributes, or the operator is not known.
    """
    classes = {op.__name__: op for op in ops}
    try:
        call = ast.parse(text, mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)) or call.args:
            raise ValueError(text)
        name = call.func.id
        attrs = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in call.keywords}
        if len(attrs) != len(call.keywords):
            raise ValueError(text)
    except (SyntaxError, TypeError, ValueError) as error:
        raise GraphError("an operator must read Name(attribute=literal, ...)", received=text) from error
    if name not in classes:
        raise GraphError("no operator has this name", received=name, remedy=did_you_mean(name, classes))
    try:
        return classes[name](**attrs)
    except TypeError as error:
        raise GraphError(f"attributes of {name} do not fit", received=text) from error


def write_graph(graph: Graph) -> str:
    """A graph as text; equal graphs give equal text."""
    lines = [f"graph {json.dumps(graph.name, ensure_ascii=False)}"]
    lines += [f"input {_quote(name)}: {type}" for name, type in graph.inputs]
    for node in graph.nodes:
        shares = f" shares {_quote(node.shares)}" if node.shares else ""
        reads = f" <- {', '.join(map(_quote, node.inputs))}" if node.inputs else ""
        lines.append(f"{_quote(node.name)} = {write_op(node.op)}{reads}{shares}")
    lines.append(f"output {', '.join(map(_quote, graph.outputs))}")
    return "\n".join(lines) + "\n"


def read_graph(text: str, ops: Iterable[type[Op]]) -> Graph:
    """Read what ``write_graph`` wrote.

    Raises:
        GraphError: If a line is not understood, with its number, or if the lines do not form a graph.
    """
    classes = tuple(ops)
    name, inputs, nodes, outputs = "", list[tuple[str, TensorType]](), list[Node](), ()
    # not splitlines: a name may hold a separator that JSON leaves as it is, such as U+2028
    for number, line in enumerate(map(str.rstrip, text.split("\n")), start=1):
        if match := _NODE.fullmatch(line):
            nodes.append(_read_node(match, classes, number))
        elif match := _INPUT.fullmatch(line):
            value, dtype, sizes = match.groups()
            inputs.append((_unquote(value), TensorType(tuple(map(int, re.findall(r"\d+", sizes))), dtype)))
        elif match := _OUTPUT.fullmatch(line):
            outputs = _read_names(match[1] or "")
        elif match := _GRAPH.fullmatch(line):
            name = _unquote(match[1])
        elif line:
            raise GraphError("a line must be a graph, input, node or output", received=line, where=f"line {number}")
    return Graph(name, tuple(inputs), tuple(nodes), outputs)


def _read_node(match: re.Match[str], classes: tuple[type[Op], ...], number: int) -> Node:
    value, text, reads, shares = match.groups()
    try:
        op = read_op(text, classes)
        if reads is None and op.arity not in (0, None):
            raise GraphError("an operator with inputs must be followed by <- and their names", received=text)
        return Node(_unquote(value), op, _read_names(reads or ""), _unquote(shares or ""))
    except (GraphError, OpError) as error:
        raise GraphError(str(error), where=f"line {number}") from error


def _literal(value: object) -> str:
    """As ``repr``, but infinity as a number that is too large: Python has no literal for it."""
    return repr(value).replace("inf", "1e999") if value in (math.inf, -math.inf) else repr(value)


def _read_names(text: str) -> tuple[str, ...]:
    return tuple(map(_unquote, re.findall(_NAME, text)))


def _quote(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _unquote(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text
