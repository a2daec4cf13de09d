"""Products of two activations, which attention is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, final

from convsmith.ir import AxisRead, BadSample, Op, Sample, Spread, TensorType, Terms, Window
from convsmith.ops.broadcast import broadcast
from convsmith.ops.pairs import check_number


@final
@dataclass(frozen=True)
class MatMul(Op):
    """Matrices (..., n, k) times (..., k, m), where the leading axes are spread over each other."""

    arity: ClassVar[int | None] = 2

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        first, second = types[0].shape, types[1].shape
        self.require(len(first) >= 2, "must have at least two axes", "first input", first)
        fits = second[-2:-1] == first[-1:]
        self.require(fits, f"must have as many rows as the first ({first}) has columns", "second input", second)
        lead = broadcast(self, first[:-2], second[:-2], second)
        return types[0].with_shape(*lead, first[-2], second[-1])

    def terms(self, *types: TensorType) -> Terms:
        return Terms(attention=self.infer(*types).numel * types[0].shape[-1])

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Spread.WHOLE, Spread.WHOLE)

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.matmul)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), (TensorType((2, 3, 4, 5)), TensorType((2, 3, 5, 6)))),
            Sample(cls(), (TensorType((2, 3, 4, 5)), TensorType((5, 2)))),
            Sample(cls(), (TensorType((2, 4, 5)), TensorType((2, 5, 3)))),
            Sample(cls(), (TensorType((2, 1, 4, 5)), TensorType((3, 5, 2)))),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        first = TensorType((2, 3, 4, 5))
        return (
            BadSample({}, (first, TensorType((2, 3, 4, 5))), "second input", (2, 3, 4, 5)),
            BadSample({}, (first, TensorType((4, 5, 5))), "second input", (4, 5, 5)),
            BadSample({}, (first, TensorType((5,))), "second input", (5,)),
            BadSample({}, (TensorType((5,)), first), "first input", (5,)),
            BadSample({}, (first,), "inputs", 1),
        )


@final
@dataclass(frozen=True)
class Einsum(Op):
    """Sum of products over named indices, as ``torch.einsum`` with two operands: ``bij,bjk->bik``.

    Attributes:
        equation: A letter for each axis of both operands and of the result. An index that the result does not have
            is summed over. An index may appear once in each; there is no ellipsis.
    """

    arity: ClassVar[int | None] = 2

    equation: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "equation", self.equation.replace(" ", ""))
        rule = "must read ab,bc->ac, each letter once in a place and those of the result in an operand"
        self.require(_is_equation(self.equation), rule, "equation", self.equation)

    def _sizes(self, types: tuple[TensorType, ...]) -> dict[str, int]:
        """The size of every index."""
        self.check_inputs(types)
        first, second, _ = _indices(self.equation)
        self.require(len(first) == types[0].rank, f"must have {len(first)} axes", "first input", types[0].shape)
        self.require(len(second) == types[1].rank, f"must have {len(second)} axes", "second input", types[1].shape)
        sizes = dict(zip(first, types[0].shape, strict=True))
        fits = all(sizes.setdefault(index, size) == size for index, size in zip(second, types[1].shape, strict=True))
        self.require(fits, f"must agree with the first ({types[0].shape})", "second input", types[1].shape)
        return sizes

    def infer(self, *types: TensorType) -> TensorType:
        sizes = self._sizes(types)
        return types[0].with_shape(*[sizes[index] for index in _indices(self.equation)[2]])

    def terms(self, *types: TensorType) -> Terms:
        work = math.prod(self._sizes(types).values())
        first, second, result = _indices(self.equation)
        return Terms(attention=work) if set(first + second) - set(result) else Terms(add=work)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (self._read(-2), self._read(-1))

    def _read(self, axis: int) -> AxisRead:
        """An axis of a map that is summed over is read whole; another keeps its place or does not."""
        *operands, result = _indices(self.equation)
        maps = [operand for operand in operands if len(operand) >= 4]
        indices = {operand[axis] for operand in maps or operands if len(operand) >= -axis}
        if not indices <= set(result):
            return Spread.WHOLE
        return Window() if maps and len(result) >= 4 and indices == {result[axis]} else Spread.PERMUTED

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.Einsum(self.equation)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = TensorType((2, 3, 4, 5))
        return (
            Sample(cls("bhik,bhkj->bhij"), (map, TensorType((2, 3, 5, 2)))),
            Sample(cls("bchw,bkhw->bkc"), (map, TensorType((2, 2, 4, 5)))),
            Sample(cls("bchw,bhw->bchw"), (map, TensorType((2, 4, 5)))),
            Sample(cls("bchw,kc->bkhw"), (map, TensorType((6, 3)))),
            Sample(cls("bchw,bc->bcwh"), (map, TensorType((2, 3)))),
            Sample(cls("bik, kj -> bij"), (TensorType((2, 3, 4)), TensorType((4, 5)))),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        first, second = TensorType((2, 3, 4)), TensorType((2, 4, 5))
        good = {"equation": "bij,bjk->bik"}
        return (
            BadSample({"equation": "bij,bjk"}, (first, second), "equation", "bij,bjk"),
            BadSample({"equation": "...ij,...jk->...ik"}, (first, second), "equation", "...ij,...jk->...ik"),
            BadSample({"equation": "bii,bij->bj"}, (first, second), "equation", "bii,bij->bj"),
            BadSample({"equation": "bij,bjk->bim"}, (first, second), "equation", "bij,bjk->bim"),
            BadSample({"equation": "bij->bji"}, (first, second), "equation", "bij->bji"),
            BadSample(good, (first, TensorType((2, 5, 4))), "second input", (2, 5, 4)),
            BadSample(good, (first, TensorType((4, 5))), "second input", (4, 5)),
            BadSample(good, (TensorType((3, 4)), second), "first input", (3, 4)),
            BadSample(good, (first,), "inputs", 1),
        )


@final
@dataclass(frozen=True)
class ScaledDotProductAttention(Op):
    """``softmax(scale * Q K^T + mask) V`` (Vaswani et al., "Attention Is All You Need", 2017, section 3.2.1).

    Inputs are queries (..., L, E), keys (..., S, E), values (..., S, V), and perhaps a mask that is added to the
    scores and spreads over (..., L, S); the result is (..., L, V). Keys and values may be spread over the queries, as
    where one head of them is for all (Shazeer, "Fast Transformer Decoding", 2019).

    Attributes:
        scale: ``1 / sqrt(E)`` where it is left out.
    """

    arity: ClassVar[int | None] = None

    scale: float | None = None

    def __post_init__(self) -> None:
        if self.scale is not None:
            check_number(self, scale=self.scale)

    def infer(self, *types: TensorType) -> TensorType:
        self.require(len(types) in (3, 4), "must be 3, or 4 with a mask", "inputs", len(types))
        query, key, value = types[0].shape, types[1].shape, types[2].shape
        self.require(len(query) >= 3, "must have at least three axes", "query", query)
        spreads = len(key) == len(query) and all(
            one in (1, many) for one, many in zip(key[:-2], query[:-2], strict=True)
        )
        fits = spreads and key[-1] == query[-1]
        self.require(fits, f"must match the query ({query}) in all but the last axis but one, or be 1", "key", key)
        self.require(value[:-1] == key[:-1], f"must match the key ({key}) in all but the last axis", "value", value)
        if len(types) == 4:
            mask, scores = types[3].shape, (*query[:-1], key[-2])
            fits = 2 <= len(mask) <= len(scores) and all(
                size in (1, full) for size, full in zip(mask[::-1], scores[::-1], strict=False)
            )
            self.require(fits, f"must spread over the scores ({scores})", "mask", mask)
        return types[0].with_shape(*query[:-1], value[-1])

    def terms(self, *types: TensorType) -> Terms:
        """The scores pass one activation, the softmax."""
        scores = math.prod(types[0].shape[:-1]) * types[1].shape[-2]
        return Terms(attention=scores * (types[0].shape[-1] + types[2].shape[-1]), activation=scores)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Spread.WHOLE, Spread.WHOLE)

    def to_torch(self) -> Any:
        from torch.nn import functional

        from convsmith.ops.torch_modules import Call

        return Call(functional.scaled_dot_product_attention, scale=self.scale)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        query, key, value = TensorType((2, 3, 4, 6)), TensorType((2, 3, 5, 6)), TensorType((2, 3, 5, 7))
        return (
            Sample(cls(), (query, key, value)),
            Sample(cls(0.5), (query, key, value, TensorType((1, 3, 4, 5)))),
            Sample(cls(), (TensorType((2, 4, 6)), TensorType((2, 4, 6)), TensorType((2, 4, 6)))),
            Sample(cls(), (query, TensorType((2, 1, 5, 6)), TensorType((2, 1, 5, 7)))),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        query, key, value = TensorType((2, 3, 4, 6)), TensorType((2, 3, 5, 6)), TensorType((2, 3, 5, 7))
        return (
            BadSample({"scale": "1"}, (query, key, value), "scale", "1"),
            BadSample({}, (query, value, value), "key", (2, 3, 5, 7)),
            BadSample({}, (query, key, query), "value", (2, 3, 4, 6)),
            BadSample({}, (query, key, value, TensorType((4, 4))), "mask", (4, 4)),
            BadSample({}, (query, key, value, TensorType((5,))), "mask", (5,)),  # torch's rule
            BadSample({}, (TensorType((4, 6)), key, value), "query", (4, 6)),
            BadSample({}, (query, key), "inputs", 2),
            BadSample({}, (query, key, value, query, query), "inputs", 5),
        )


def _indices(equation: str) -> tuple[str, str, str]:
    operands, _, result = equation.partition("->")
    first, _, second = operands.partition(",")
    return first, second, result


def _is_equation(equation: str) -> bool:
    places = _indices(equation)
    first, second, result = places
    letters = all(place.isascii() and place.isalpha() and len(set(place)) == len(place) for place in places if place)
    return letters and set(result) <= set(first + second) and equation == f"{first},{second}->{result}"
