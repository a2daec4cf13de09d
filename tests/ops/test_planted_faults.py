"""Each check of the harness must catch an operator that lies in answer to one question."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import nn

from convsmith.ir import BadSample, Op, Sample, Spread, TensorType, Terms, Window
from convsmith.ops import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Constant,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Einsum,
    Flatten,
    GroupNorm,
    Linear,
    MatMul,
    MaxPool2d,
    Mul,
    Pad,
    Permute,
    Pointwise,
    Reduce,
    ReLU,
    Reshape,
    Resize,
    Roll,
    ScaledDotProductAttention,
    Slice,
)
from convsmith.testing import CHECKS, check_op


def copied(good: type[Op], **answers: object) -> type[Op]:
    """A copy of ``good`` (its classes are final) that answers some questions otherwise."""
    own = {name: value for name, value in vars(good).items() if name not in ("__dict__", "__weakref__")}
    return type(good)(good.__name__, good.__bases__, {**own, **answers})


def wrong(good: type[Op], question: str, change) -> type[Op]:
    """A copy of ``good`` whose answer to ``question`` is changed."""
    answer = getattr(good, question)
    return copied(good, **{question: lambda self, *asked: change(answer(self, *asked))})


def with_bad_samples(good: type[Op], *samples: BadSample) -> type[Op]:
    return copied(good, bad_samples=classmethod(lambda _: samples))


def narrowed(good: type[Op], *types: TensorType, **attrs: object) -> type[Op]:
    """A copy of ``good`` that is checked on a single sample."""
    return copied(good, samples=classmethod(lambda cls: (Sample(cls(**attrs), types),)))


def first_batch(self, *types: TensorType) -> Terms:
    """What counters say that take the leading axes of the first operand, not those of the result."""
    return Terms(attention=types[0].numel * types[1].shape[-1])


def as_if_divided(self, type: TensorType) -> tuple[Window, ...]:
    sizes = zip(type.shape[2:], self.output_size, strict=True)
    return tuple(Window(-(-size // o), Fraction(max(1, size // o))) for size, o in sizes)


def learned_kernel(self, *types: TensorType) -> dict[str, tuple[int, ...]]:
    return {"weight": (self.out_channels, self.in_channels // self.groups, *self.kernel_size)}


def forgets_batch(self, *types: TensorType) -> Terms:
    return Terms(norm=types[0].numel // types[0].shape[0])


class UnexpectedError(Exception):
    """Not one of the package's own errors."""


def raise_other(self, types):
    raise UnexpectedError


def reads_next(windows):
    return (Window(before=-1, after=1), windows[1])


def starts_at_zero(windows):
    return tuple(Window(1, w.stride, 0, w.before + w.after) for w in windows)


def moved(windows):
    return (Spread.PERMUTED, Spread.PERMUTED)


def linear(windows):
    return Resize((9, 11), "bilinear").window(MAP)


def in_place(windows):
    return (Window(), Window())


MAP = TensorType((1, 4, 7, 6))
FLOOR = narrowed(Pointwise, MAP, function="floor")
LOG = narrowed(Pointwise, MAP, function="log")
BICUBIC = narrowed(Resize, MAP, size=(9, 11), mode="bicubic")
SUM = narrowed(Reduce, MAP, function="sum", axes=(2,), keepdim=True)
CHANNELS = narrowed(Reduce, MAP, function="max", axes=(1,))
BLUR = narrowed(Conv2d, MAP, in_channels=4, out_channels=4, kernel_size=3, groups=4, bias=False, learned=False)

FAULTS: tuple[tuple[str, str, type[Op]], ...] = (
    ("shape_is_torchs", "a pixel more", wrong(Conv2d, "infer", lambda t: t.with_shape(*t.shape[:3], 1 + t.shape[3]))),
    ("shape_is_torchs", "another dtype", wrong(ReLU, "infer", lambda t: TensorType(t.shape, "float64"))),
    ("shape_is_torchs", "rounding up", copied(MaxPool2d, window=lambda self, _: (Window(2).ceiled(4), Window(2)))),
    ("params_are_torchs", "a bias too many", wrong(BatchNorm2d, "param_shapes", lambda p: {**p, "shift": (4,)})),
    ("params_are_torchs", "axes swapped", wrong(Linear, "param_shapes", lambda p: {"weight": p["weight"][::-1]})),
    ("params_are_torchs", "a buffer taken for learned", wrong(Constant, "param_shapes", lambda _: {"value": (8,)})),
    ("params_are_torchs", "a fixed kernel learned", copied(BLUR, param_shapes=learned_kernel)),
    ("params_are_torchs", "no statistics", copied(BatchNorm2d, stored_shapes=BatchNorm2d.param_shapes)),
    ("params_are_torchs", "a fixed kernel forgotten", wrong(BLUR, "stored_shapes", lambda _: {})),
    ("taps_are_torchs", "the batch of one operand", copied(MatMul, terms=first_batch)),
    ("taps_are_torchs", "scores alone", wrong(ScaledDotProductAttention, "terms", lambda t: Terms(t.attention // 2))),
    ("taps_are_torchs", "not summed over", wrong(Einsum, "terms", lambda t: Terms(add=t.attention + t.add))),
    ("taps_are_torchs", "a bias per row", wrong(Linear, "terms", lambda t: Terms(t.taps, t.bias // 2))),
    ("taps_are_torchs", "twice the taps", wrong(Linear, "terms", lambda t: t + t)),
    ("taps_are_torchs", "work where torch has none", wrong(ReLU, "terms", lambda t: Terms(attention=1))),
    ("terms_are_counts", "a fraction", wrong(GroupNorm, "terms", lambda t: Terms(norm=t.norm / 2))),
    ("terms_are_counts", "below zero", wrong(GroupNorm, "terms", lambda t: Terms(norm=-t.norm))),
    ("terms_are_counts", "one image only", copied(GroupNorm, terms=forgets_batch)),
    ("matrix_is_module", "scaled", wrong(AvgPool2d, "matrix", lambda m: m * 1.000001)),
    ("matrix_is_module", "linear and silent", wrong(Conv2d, "matrix", lambda m: None)),
    ("matrix_is_module", "a sum and silent", copied(SUM, matrix=Op.matrix)),
    ("matrix_is_module", "the other way", wrong(Roll, "matrix", lambda m: m.T)),
    ("matrix_is_module", "not linear", copied(ReLU, matrix=Flatten.matrix)),
    ("matrix_transposed_is_gradient", "rows upside down", wrong(Flatten, "matrix", lambda m: m[::-1])),
    ("matrix_transposed_is_gradient", "scaled", wrong(Resize, "matrix", lambda m: m * 1.000001)),
    ("matrix_counts_taps", "an entry left out", wrong(Conv2d, "matrix", lambda m: m[1:])),
    ("matrix_counts_taps", "denser", wrong(ConvTranspose2d, "matrix", lambda m: m.T @ m)),
    ("matrix_counts_taps", "taps of real pixels only", wrong(Conv2d, "terms", lambda t: Terms(taps=t.taps // 2))),
    ("window_fits_shape", "a tap more", wrong(Pad, "window", lambda w: (Window(2, before=1), w[1]))),
    ("window_fits_shape", "a coarser stride", wrong(Resize, "window", lambda w: (Window(1, Fraction(2)), w[1]))),
    ("window_fits_shape", "a cut left out", wrong(Slice, "window", in_place)),
    ("window_fits_shape", "no map comes out", wrong(CHANNELS, "window", in_place)),
    ("window_fits_shape", "as if it divided", copied(AdaptiveMaxPool2d, window=as_if_divided)),
    ("window_is_what_is_read", "cut at the other end", wrong(Slice, "window", starts_at_zero)),
    ("window_is_what_is_read", "as if it divided", copied(AdaptiveAvgPool2d, window=as_if_divided)),
    ("window_is_what_is_read", "a product is global", wrong(Mul, "window", lambda w: (w[0], Spread.WHOLE))),
    ("window_is_what_is_read", "a sum moves", wrong(SUM, "window", moved)),
    ("window_is_what_is_read", "a matrix product moves", wrong(MatMul, "window", moved)),
    ("window_is_what_is_read", "an order that stays", wrong(Permute, "window", in_place)),
    ("window_is_what_is_read", "a circle that stays", wrong(Roll, "window", in_place)),
    ("window_is_what_is_read", "reads nothing", copied(Reshape, to_torch=lambda self: Nothing(self.shape))),
    ("window_is_what_is_read", "beside a step", wrong(FLOOR, "window", reads_next)),
    ("window_is_what_is_read", "beside a logarithm", wrong(LOG, "window", reads_next)),
    ("window_is_what_is_read", "beside a sequence", wrong(Conv1d, "window", lambda w: (w[0], Window(3)))),
    ("window_is_what_is_read", "two taps of four", wrong(BICUBIC, "window", linear)),
    ("window_is_what_is_read", "the neighbour", wrong(BatchNorm2d, "window", reads_next)),
    ("window_is_what_is_read", "local", wrong(GroupNorm, "window", lambda w: (Window(), Window()))),
    ("window_is_what_is_read", "global", wrong(ReLU, "window", lambda w: (Spread.WHOLE, w[1]))),
    ("window_is_what_is_read", "moved", wrong(Linear, "window", lambda w: (Spread.PERMUTED, Spread.PERMUTED))),
    ("window_is_what_is_read", "second input", copied(Concat, to_torch=lambda self: SecondRolled())),
    ("window_is_what_is_read", "mirrored and shifted", wrong(Pad, "window", lambda w: (Window(after=2), w[1]))),
    ("text_round_trips", "an attribute lost", wrong(Conv2d, "attrs", lambda a: {**a, "dilation": 1})),
    ("text_round_trips", "unlike itself", copied(ReLU, __eq__=lambda self, other: False)),
    ("text_round_trips", "restless hash", copied(ReLU, __hash__=lambda self: id(self))),
    ("input_count_is_checked", "one where there is none", copied(Constant, check_inputs=lambda self, types: None)),
    ("input_count_is_checked", "any number", copied(ReLU, check_inputs=lambda self, types: None)),
    ("bad_sample_is_refused", "accepted", with_bad_samples(ReLU, BadSample({}, (MAP,), "inputs", 1))),
    ("bad_sample_is_refused", "attribute unnamed", with_bad_samples(ReLU, BadSample({}, (MAP, MAP), "count", 2))),
    ("bad_sample_is_refused", "value unnamed", with_bad_samples(ReLU, BadSample({}, (MAP, MAP), "inputs", 3))),
    ("bad_sample_is_refused", "another error", copied(ReLU, check_inputs=raise_other)),
    ("bad_sample_is_refused", "none given", with_bad_samples(ReLU)),
)  # fmt: skip


EXPECTED_CAUSES = (AssertionError, UnexpectedError, type(None))  # None: there was no sample to check


class Nothing(nn.Module):
    """A reshape of zeros."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, input):
        return torch.zeros_like(input).reshape(self.shape)


class SecondRolled(nn.Module):
    """Stacks its inputs, the second one moved by a pixel."""

    def forward(self, first, second, *others):
        return torch.cat((first, second.roll(1, 2), *others), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("check", "op_class"), [pytest.param(check, op, id=f"{check}-{fault}") for check, fault, op in FAULTS]
)
def test_fault_is_caught(check, op_class):
    asked = tuple(candidate for candidate in CHECKS if candidate.__name__ == check)
    with pytest.raises(AssertionError, match=f"^{op_class.__name__}: {check}: ") as caught:
        check_op(op_class, asked)
    assert isinstance(caught.value.__cause__, EXPECTED_CAUSES)  # the check itself spoke, not a mistake in this table


def test_every_check_has_a_fault():
    assert {check for check, _, _ in FAULTS} == {check.__name__ for check in CHECKS}


def test_a_faithful_copy_passes():
    check_op(copied(Conv2d))
