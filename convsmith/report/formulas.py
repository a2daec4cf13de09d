"""Every count of a layer as the product it is, with the layer's own numbers.

``64 × 112 × 112 outputs × 3 × 7 × 7 taps = 118,013,952 macs`` says more than either side alone. The right side is
worked out from the left, never copied from the ledger, so the two can be held against each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from convsmith.analysis import ReceptiveField
from convsmith.ir import Graph, Node, Shape, Window
from convsmith.ops import (
    AvgPool2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    DynamicConv2d,
    Einsum,
    Linear,
    MatMul,
    MaxPool2d,
    ScaledDotProductAttention,
)

Factor = tuple[Shape, str]
"""Sizes to be multiplied, and what they count."""
Product = tuple[Factor, ...]

UNITS: Final = {
    "params": "params",
    "taps": "macs",
    "attention": "macs",
    "bias": "additions of a bias",
    "norm": "elements normalised",
    "activation": "elements activated",
    "pool": "elements pooled",
    "add": "elements combined",
    "resize": "elements interpolated",
}
"""What each term of the ledger counts."""

_SLIDING: Final = (Conv1d, Conv2d, ConvTranspose2d, DynamicConv2d, MaxPool2d, AvgPool2d)


@dataclass(frozen=True)
class Formula:
    """A sum of products."""

    products: tuple[Product, ...]
    unit: str

    @property
    def value(self) -> int:
        """What it comes to."""
        return sum(math.prod(math.prod(sizes) for sizes, _ in product) for product in self.products)

    def __str__(self) -> str:
        left = " + ".join(" × ".join(map(_written, product)) for product in self.products)
        value = f"{self.value:,} {self.unit}"
        return value if left == str(self.value) else f"{left} = {value}"


def formulas(graph: Graph, fields: Mapping[str, ReceptiveField]) -> dict[str, dict[str, str]]:
    """For every node, its formulas by what they give: ``params``, each term of the ledger, ``size`` and ``field``.

    Terms that are zero are left out, and so is the size of what does not slide a window.
    """
    return {
        node.name: {
            **{term: str(one) for term, one in counts(graph, node).items()},
            **dict(_geometry(graph, node, fields)),
        }
        for node in graph.nodes
    }


def counts(graph: Graph, node: Node) -> dict[str, Formula]:
    """The formulas of a node's parameters and of its line of the ledger."""
    types = graph.input_types(node)
    shapes, output = tuple(type.shape for type in types), graph.types[node.name].shape
    found = dict[str, Formula]()
    stored = {} if node.shares else node.op.param_shapes(*types)
    if stored:
        found["params"] = Formula(tuple(((shape, name),) for name, shape in stored.items()), UNITS["params"])
    for term, value in node.op.terms(*types).to_dict().items():
        if value:
            products = _RULES.get((type(node.op), term), _ELEMENTS.get(term, _bare(value)))(node.op, shapes, output)
            found[term] = Formula(products, UNITS[term])
    return found


Rule = Callable[[Any, tuple[Shape, ...], Shape], tuple[Product, ...]]


def _conv(op: Conv2d | Conv1d | DynamicConv2d, inputs: tuple[Shape, ...], output: Shape) -> tuple[Product, ...]:
    kernel = (op.kernel_size,) if isinstance(op, Conv1d) else op.kernel_size
    return (((output, "outputs"), ((inputs[0][1] // op.groups, *kernel), "taps")),)


def _transposed(op: ConvTranspose2d, inputs: tuple[Shape, ...], output: Shape) -> tuple[Product, ...]:
    return (((inputs[0], "inputs"), ((op.out_channels // op.groups, *op.kernel_size), "taps")),)


def _linear(op: Linear, inputs: tuple[Shape, ...], output: Shape) -> tuple[Product, ...]:
    return (((output, "outputs"), ((op.in_features,), "inputs")),)


def _matmul(op: MatMul, inputs: tuple[Shape, ...], output: Shape) -> tuple[Product, ...]:
    return (((output, "outputs"), ((inputs[0][-1],), "products")),)


def _einsum(op: Einsum, inputs: tuple[Shape, ...], output: Shape) -> tuple[Product, ...]:
    letters = op.equation.partition("->")[0].split(",")
    sizes = {letter: size for names, shape in zip(letters, inputs, strict=True) for letter, size in zip(names, shape)}  # noqa: B905
    return (tuple(((size,), letter) for letter, size in sizes.items()),)


def _attention(op: ScaledDotProductAttention, inputs: tuple[Shape, ...], output: Shape) -> tuple[Product, ...]:
    (scores,) = _scores(op, inputs, output)[0]
    return ((scores, ((inputs[0][-1],), "of a query")), (scores, ((inputs[2][-1],), "of a value")))


def _scores(op: ScaledDotProductAttention, inputs: tuple[Shape, ...], output: Shape) -> tuple[Product, ...]:
    return ((((*inputs[0][:-1], inputs[1][-2]), "scores"),),)


def _pool(op: MaxPool2d | AvgPool2d, inputs: tuple[Shape, ...], output: Shape) -> tuple[Product, ...]:
    return (((output, "outputs"), (op.kernel_size, "pixels")),)


def _outputs(op: object, inputs: tuple[Shape, ...], output: Shape) -> tuple[Product, ...]:
    return (((output, "outputs"),),)


def _inputs(op: object, inputs: tuple[Shape, ...], output: Shape) -> tuple[Product, ...]:
    return (((inputs[0], "inputs"),),)


def _bare(value: int) -> Rule:
    """The number itself, where an operator that is not in the vocabulary gives it."""
    return lambda op, inputs, output: ((((value,), ""),),)


_RULES: Final[Mapping[tuple[type, str], Rule]] = {
    (Conv1d, "taps"): _conv,
    (Conv2d, "taps"): _conv,
    (ConvTranspose2d, "taps"): _transposed,
    (DynamicConv2d, "taps"): _conv,
    (Linear, "taps"): _linear,
    (MatMul, "attention"): _matmul,
    (Einsum, "attention"): _einsum,
    (Einsum, "add"): _einsum,
    (ScaledDotProductAttention, "attention"): _attention,
    (ScaledDotProductAttention, "activation"): _scores,
    (MaxPool2d, "pool"): _pool,
    (AvgPool2d, "pool"): _pool,
}
_ELEMENTS: Final[Mapping[str, Rule]] = {
    "bias": _outputs,
    "norm": _outputs,
    "activation": _outputs,
    "pool": _inputs,
    "add": _outputs,
    "resize": _outputs,
}


def _geometry(graph: Graph, node: Node, fields: Mapping[str, ReceptiveField]) -> Iterator[tuple[str, str]]:
    """How the size of the output and of the receptive field come about, where a window slides."""
    if not isinstance(node.op, _SLIDING):
        return
    types = graph.input_types(node)
    windows = [read for read in node.op.window(*types) if isinstance(read, Window)]
    if isinstance(node.op, Conv1d):
        yield "size", f"{size_formula(windows[-1], types[0].shape[-1])} positions"
        return
    if windows != [Window(), Window()]:
        rows, columns = (size_formula(window, size) for window, size in zip(windows, types[0].shape[-2:], strict=True))
        yield "size", f"{rows} rows and columns" if rows == columns else f"{rows} rows, {columns} columns"
    seen, now = fields.get(node.inputs[0]), fields.get(node.name)
    if seen and now:
        axes = zip((seen.height, seen.width), (now.height, now.width), windows, strict=True)
        high, wide = (_field(before.size, before.jump, after.size, window) for before, after, window in axes)
        if high and wide:
            yield "field", f"{high} pixels seen" if high == wide else f"{high} pixels seen down, {wide} across"


def size_formula(window: Window, size: int) -> str:
    """``⌊(224 + 3 + 3 − 7) / 2⌋ + 1 = 112``; between the pixels of a transposed convolution lie zeros."""
    step, gap = window.stride.numerator, window.stride.denominator
    length = f"{size}" if gap == 1 else f"({size} − 1) × {gap} + 1"
    padding = "".join(f" + {side}" if side > 0 else f" − {-side}" for side in (window.before, window.after) if side)
    return f"⌊({length}{padding} − {window.extent}) / {step}⌋ + 1 = {window.output_size(size)}"


def _field(seen: int, jump: Any, sees: int, window: Window) -> str:
    """``3 + 2 × (3 − 1) = 7``, in whole numbers; empty where they are not, or where nothing is added."""
    gap = window.stride.denominator
    if window.extent == 1 or gap > 1 or jump.denominator > 1:
        return ""
    return f"{seen} + {jump} × ({window.extent} − 1) = {sees}"


def _written(factor: Factor) -> str:
    sizes, name = factor
    kept = sizes[1:] if len(sizes) > 1 and sizes[0] == 1 and name in ("outputs", "inputs", "scores") else sizes
    return f"{' × '.join(map(str, kept or (1,)))} {name}".rstrip()
