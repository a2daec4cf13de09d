"""Hints: what in a network is known to cost without giving, each with the node and the reason in one sentence.

This file alone in the package looks at the class names and attributes of operators, to know SiLU from ReLU.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from convsmith.analysis.cost import Cost
from convsmith.analysis.facts import asked, facts, windows
from convsmith.analysis.support import Support, supports
from convsmith.analysis.waste import Waste
from convsmith.ir import Graph, Node, Window
from convsmith.quantities import format_percent

VECTOR = 8
"""Numbers that a vector instruction or a tensor core takes at once: channel counts should be multiples of it."""


@dataclass(frozen=True)
class Lint:
    """A hint.

    Attributes:
        rule: Which rule it comes from.
        node: The node that it is about.
        reason: One sentence.
    """

    rule: str
    node: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Plain values for JSON."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class _Subject:
    """What the rules look at."""

    graph: Graph
    cost: Cost
    waste: Waste
    readers: Counter[str]

    @cached_property
    def layers(self) -> Sequence[tuple[Node, int]]:
        """Every node that multiplies with learned weights on a map of more than one pixel, with its channels."""
        return [
            (node, known.output[1])
            for node, known in zip(self.graph.nodes, self.cost.facts, strict=True)
            if known.terms.taps and known.params and len(known.output) >= 4 and known.output[-2:] != (1, 1)
        ]


def lints(cost: Cost, waste: Waste) -> tuple[Lint, ...]:
    """The hints for a network, rule by rule, each rule's in running order."""
    graph = cost.graph
    readers = Counter(value for node in graph.nodes for value in node.inputs)
    readers.update(graph.outputs)
    subject = _Subject(graph, cost, waste, readers)
    return tuple(Lint(rule, node, reason) for rule, find in RULES.items() for node, reason in find(subject))


Found = Iterator[tuple[str, str]]


def _channels(subject: _Subject) -> Found:
    for node, channels in subject.layers:
        if channels % VECTOR and node.name not in subject.graph.outputs:
            filled = format_percent(channels / (-(-channels // VECTOR) * VECTOR), 0)
            yield node.name, f"its {channels} channels fill vectors of {VECTOR} numbers to {filled} only"


def _narrow_groups(subject: _Subject) -> Found:
    for node, _ in subject.layers:
        groups = getattr(node.op, "groups", 1)
        width = subject.graph.types[node.inputs[0]].shape[1] // groups
        if groups > 1 and 1 < width < 4:
            yield node.name, f"groups of {width} channels are too narrow for a vector and too wide for depthwise code"


def _bias(subject: _Subject) -> Found:
    nodes = {node.name: node for node in subject.graph.nodes}
    for node in subject.graph.nodes:
        source = nodes.get(node.inputs[0]) if len(node.inputs) == 1 else None
        if source and type(node.op).__name__.startswith("BatchNorm") and subject.readers[source.name] == 1:
            answers = facts(*asked(subject.graph, source))
            if answers.terms.taps and answers.terms.bias:
                reason = f"its {answers.output[1]} biases are taken away again by the normalisation {node.name!r}"
                yield source.name, reason


def _skipping(subject: _Subject) -> Found:
    for node, _ in subject.layers:
        layer = subject.waste.layers.get(node.name)
        if layer and (layer.rows.inside or layer.columns.inside):
            height, width = subject.graph.types[node.inputs[0]].shape[-2:]
            rows = height - layer.rows.edge - layer.rows.inside
            columns = width - layer.columns.edge - layer.columns.inside
            share = format_percent(1 - rows * columns / (height * width), 0)
            lost = format_percent(layer.lost_share, 0)
            others = f"nothing else reads {lost}" if layer.lost_share else "others read the rest"
            yield node.name, f"its kernel is smaller than its stride and never reads {share} of its input; {others}"


def _even_kernel(subject: _Subject) -> Found:
    for node, _ in subject.layers:
        slid = windows(*asked(subject.graph, node))
        if slid and any(window.extent % 2 == 0 and window.stride == 1 for window in slid):
            yield node.name, "an even kernel at stride 1 moves the map by half a pixel"


def _checkerboard(subject: _Subject) -> Found:
    """Odena et al., "Deconvolution and checkerboard artifacts", 2016."""
    for node, _ in subject.layers:
        for window in dict.fromkeys(windows(*asked(subject.graph, node)) or ()):
            products = _products(window)
            if len(products) > 1:
                gap = window.stride.denominator
                reason = (
                    f"its kernel of {window.kernel} at stride 1/{gap} makes neighbours of {_either(products)} products"
                )
                yield node.name, f"{reason}, which shows as a checkerboard; one of {gap} or {2 * gap} makes all alike"
                break


def _products(window: Window) -> Sequence[int]:
    """How many products the outputs of an enlarging window may be sums of, along its axis and far from the border."""
    gap = window.stride.denominator
    uses = window.output_uses(2 * window.extent + 2)
    start, stop = window.before, 2 * window.extent * gap + window.before - window.extent
    return sorted(set(uses[max(0, start) : stop])) if window.stride.numerator == 1 < gap else ()


def _either(numbers: Sequence[int]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _gridding(subject: _Subject) -> Found:
    graph = subject.graph
    dilated = [node for node, _ in subject.layers if _dilates(graph, node)]
    if not dilated:
        return
    seen = supports(graph, 0), supports(graph, 1)
    for node in dilated:
        before, after = (max(_holes(axis[value]) for axis in seen) for value in (node.inputs[0], node.name))
        if after > before:
            yield node.name, f"its dilation leaves {after} pixels unseen within the field of a unit, as a grid"


def _dilates(graph: Graph, node: Node) -> bool:
    slid = windows(*asked(graph, node))
    return slid is not None and any(window.dilation > 1 and window.kernel > 1 for window in slid)


def _holes(support: Support) -> int:
    """Pixels that the unit in the middle does not see between the first and the last that it sees."""
    mask = support[len(support) // 2]
    return mask.bit_length() - (mask & -mask).bit_length() + 1 - mask.bit_count() if mask else 0


def _heavy_layer(subject: _Subject) -> Found:
    held = subject.cost.params
    for node, layer in zip(subject.graph.nodes, subject.cost.facts, strict=True):
        if layer.terms.taps and len(layer.output) == 2 and 2 * layer.params > held:
            pixels = _pixels_flattened(subject.graph, node)
            if pixels > 1:
                share = format_percent(layer.params / held, 0)
                yield node.name, f"it holds {share} of all parameters, {pixels} times what it would on a pooled map"


def _pixels_flattened(graph: Graph, node: Node) -> int:
    """Pixels of the map that a layer reads as one row of numbers; 1 if it reads something else."""
    types, value = graph.types, node.inputs[0]
    while types[value].rank < 4 and value not in dict(graph.inputs):
        before = graph.node(value).inputs
        if len(before) != 1 or types[before[0]].numel != types[value].numel:
            return 1
        value = before[0]
    return math.prod(types[value].shape[-2:]) if types[value].rank >= 4 else 1


def _int8(subject: _Subject) -> Found:
    types = subject.graph.types
    gates = [
        node.name
        for node in subject.graph.nodes
        if len(node.inputs) == 2
        and facts(*asked(subject.graph, node)).terms.add
        and sorted(types[value].shape[-2:] == (1, 1) for value in node.inputs) == [False, True]
    ]
    swish = [node.name for node in subject.graph.nodes if type(node.op).__name__ == "SiLU"]
    if gates and swish:
        reason = "SiLU loses accuracy and gates lack support in int8: EfficientNet-Lite has ReLU6 and no gates"
        yield gates[0], reason


def _unused(subject: _Subject) -> Found:
    wanted = set(subject.graph.outputs)
    for node in reversed(subject.graph.nodes):
        if node.name in wanted:
            wanted.update(node.inputs)
    for node in subject.graph.nodes:
        if node.name not in wanted:
            yield node.name, "no output depends on it"


RULES: dict[str, Callable[[_Subject], Found]] = {
    "channels": _channels,
    "narrow groups": _narrow_groups,
    "bias before normalisation": _bias,
    "skipped pixels": _skipping,
    "even kernel": _even_kernel,
    "checkerboard": _checkerboard,
    "gridding": _gridding,
    "heavy layer": _heavy_layer,
    "int8": _int8,
    "unused": _unused,
}
"""Every rule by its name: a function that gives the nodes it concerns, each with the reason."""
