"""What a design costs, fast enough to ask thousands of times a second.

A design is a chain of parts, and a part's cost depends only on what enters it, so each distinct part is lowered once
and remembered. Within one kind of part the cost is a polynomial of degree two in its two widths (a few roundings
inside blocks aside), so six exact samples give a form that whole arrays of widths can be put into. The polynomial
only guides a search; what is promised is always the exact price.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from convsmith.analysis import WEIGHT_BYTES, cost
from convsmith.analysis.memory import peak_activation_bytes
from convsmith.design import Design, Head, Stage, Stem
from convsmith.design.lower import add_block, add_head, add_stem
from convsmith.design.stride import Step
from convsmith.ir import Builder, TensorType

Map = tuple[int, int, int]
"""Channels, height and width of a feature map."""

# A triangular lattice: six points that no conic passes through, with different widths in and out.
_SAMPLES = ((32, 64), (32, 96), (32, 128), (64, 96), (64, 128), (96, 128))
_SAME_SAMPLES = (32, 64, 96)


@dataclass(frozen=True, slots=True)
class Price:
    """What a design or a part of one costs, exactly, for one image.

    Attributes:
        macs: Multiply-adds.
        params: Learned parameters.
        stored: Numbers that a file must hold: the parameters and what nobody learns, such as running statistics.
        peak: Most bytes of values alive at once when each is released after its last use.
    """

    macs: int
    params: int
    stored: int
    peak: int

    @property
    def memory(self) -> int:
        """Bytes of the parameters and of the values alive at once."""
        return WEIGHT_BYTES * self.params + self.peak

    def __add__(self, other: Price) -> Price:
        """Of a chain of two parts: between them only one map is alive, which both have counted."""
        macs, params, stored = self.macs + other.macs, self.params + other.params, self.stored + other.stored
        return Price(macs, params, stored, max(self.peak, other.peak))

    def times(self, count: int) -> Price:
        """The price of a chain of ``count`` of these; none of them costs nothing."""
        return Price(self.macs * count, self.params * count, self.stored * count, self.peak if count else 0)


def price(design: Design) -> Price:
    """Exact price of a design, equal to the totals of its lowered graph.

    Raises:
        OpError: If a layer does not fit.
    """
    total, map = stem_price(design.stem, design.input)
    for stage in design.stage:
        first, map = block_price(stage, map, stage.stride)
        rest, map = block_price(stage, map, 1)
        total = total + first + rest.times(stage.depth - 1)
    return total + head_price(design.head, map)


@lru_cache(maxsize=2**12)
def stem_price(stem: Stem, input: Map) -> tuple[Price, Map]:
    """Price of a stem and the map it gives."""
    net, x = _part(input)
    return _close(net, add_stem(net, x, stem))


def block_price(stage: Stage, input: Map, stride: Step) -> tuple[Price, Map]:
    """Price of one block of a stage and the map it gives; the stage's depth does not matter."""
    return _block_price(_single(stage), input, stride)


@lru_cache(maxsize=2**17)
def _block_price(stage: Stage, input: Map, stride: Step) -> tuple[Price, Map]:
    net, x = _part(input)
    return _close(net, add_block(net, x, stage, stride=stride))


@lru_cache(maxsize=2**14)
def head_price(head: Head, input: Map) -> Price:
    """Price of a head."""
    net, x = _part(input)
    return _close(net, add_head(net, x, head))[0]


def _part(input: Map) -> tuple[Builder, str]:
    net = Builder("part")
    return net, net.input(TensorType((1, *input)))


def _close(net: Builder, x: str) -> tuple[Price, Map]:
    graph = net.graph(x)
    part = cost(graph)
    stored = sum(map(math.prod, graph.stored_shapes.values()))
    shape = (*net.type(x).shape[1:], 1, 1)
    return Price(part.macs, part.params, stored, peak_activation_bytes(graph)), (shape[0], shape[1], shape[2])


def _single(stage: Stage) -> Stage:
    """The stage without what its blocks do not depend on, so that equal blocks are one key."""
    return stage.model_copy(update={"depth": 1, "stride": 1})


@dataclass(frozen=True)
class BlockForm:
    """Price of a block at a fixed place as a function of the channels in and out, for arrays of both.

    Attributes:
        changing: Coefficients of 1, a, b, a², ab, b² for ``a`` channels in and ``b`` out, (6, 2): one column for MACs,
            one for parameters.
        same: Coefficients of 1, b, b² where both are equal, for then a block may keep its shortcut plain.
        size: Height and width of the map it gives.
    """

    changing: Any
    same: Any
    size: tuple[int, int]

    def __call__(self, a: Any, b: Any) -> Any:
        """MACs and parameters on a new first axis; ``a`` and ``b`` broadcast against each other."""
        c, s = (rows.reshape(*rows.shape, *(1,) * np.ndim(a)) for rows in (self.changing, self.same))
        changing = c[0] + (c[1] + c[3] * a) * a + (c[2] + c[4] * a + c[5] * b) * b
        where: Any = np.where
        return where(a == b, s[0] + (s[1] + s[2] * b) * b, changing)


@lru_cache(maxsize=2**12)
def block_form(stage: Stage, size: tuple[int, int], stride: Step) -> BlockForm:
    """The form of a block at maps of ``size``; the stage's width and depth do not matter."""

    def sample(a: int, b: int) -> tuple[Price, Map]:
        return _block_price(_single(stage).model_copy(update={"width": b}), (a, *size), stride)

    changing = [((1.0, a, b, a * a, a * b, b * b), sample(a, b)[0]) for a, b in _SAMPLES]
    same = [((1.0, b, b * b), sample(b, b)[0]) for b in _SAME_SAMPLES]
    _, map = sample(*_SAMPLES[0])
    return BlockForm(interpolate(changing), interpolate(same), (map[1], map[2]))


def interpolate(samples: list[tuple[tuple[float, ...], Price]]) -> Any:
    """Coefficients, (terms, 2), of MACs and parameters on a basis, from as many exact samples as terms."""
    basis = np.array([terms for terms, _ in samples], dtype=np.float64)
    prices = np.array([(price.macs, price.params) for _, price in samples], dtype=np.float64)
    return np.linalg.solve(basis, prices)
