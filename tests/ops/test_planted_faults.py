"""Each check of the harness must catch an operator that lies in answer to one question."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import nn

from convsmith.ir import BadSample, Op, Spread, TensorType, Terms, Window
from convsmith.ops import (
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    GroupNorm,
    Linear,
    MaxPool2d,
    Pad,
    ReLU,
    Resize,
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


def forgets_batch(self, *types: TensorType) -> Terms:
    return Terms(norm=types[0].numel // types[0].shape[0])


class UnexpectedError(Exception):
    """Not one of the package's own errors."""


def raise_other(self, types):
    raise UnexpectedError


def reads_next(windows):
    return (Window(before=-1, after=1), windows[1])


MAP = TensorType((1, 4, 7, 6))

FAULTS: tuple[tuple[str, str, type[Op]], ...] = (
    ("shape_is_torchs", "a pixel more", wrong(Conv2d, "infer", lambda t: t.with_shape(*t.shape[:3], 1 + t.shape[3]))),
    ("shape_is_torchs", "another dtype", wrong(ReLU, "infer", lambda t: TensorType(t.shape, "float64"))),
    ("shape_is_torchs", "rounding up", copied(MaxPool2d, window=lambda self, _: (Window(2).ceiled(4), Window(2)))),
    ("params_are_torchs", "a bias too many", wrong(BatchNorm2d, "param_shapes", lambda p: {**p, "shift": (4,)})),
    ("params_are_torchs", "axes swapped", wrong(Linear, "param_shapes", lambda p: {"weight": p["weight"][::-1]})),
    ("taps_are_torchs", "twice the taps", wrong(Linear, "terms", lambda t: t + t)),
    ("taps_are_torchs", "work where torch has none", wrong(ReLU, "terms", lambda t: Terms(attention=1))),
    ("terms_are_counts", "a fraction", wrong(GroupNorm, "terms", lambda t: Terms(norm=t.norm / 2))),
    ("terms_are_counts", "below zero", wrong(GroupNorm, "terms", lambda t: Terms(norm=-t.norm))),
    ("terms_are_counts", "one image only", copied(GroupNorm, terms=forgets_batch)),
    ("matrix_is_module", "scaled", wrong(AvgPool2d, "matrix", lambda m: m * 1.000001)),
    ("matrix_is_module", "linear and silent", wrong(Conv2d, "matrix", lambda m: None)),
    ("matrix_is_module", "not linear", copied(ReLU, matrix=Flatten.matrix)),
    ("matrix_transposed_is_gradient", "rows upside down", wrong(Flatten, "matrix", lambda m: m[::-1])),
    ("matrix_transposed_is_gradient", "scaled", wrong(Resize, "matrix", lambda m: m * 1.000001)),
    ("matrix_counts_taps", "an entry left out", wrong(Conv2d, "matrix", lambda m: m[1:])),
    ("matrix_counts_taps", "denser", wrong(ConvTranspose2d, "matrix", lambda m: m.T @ m)),
    ("matrix_counts_taps", "taps of real pixels only", wrong(Conv2d, "terms", lambda t: Terms(taps=t.taps // 2))),
    ("window_fits_shape", "a tap more", wrong(Pad, "window", lambda w: (Window(2, before=1), w[1]))),
    ("window_fits_shape", "a coarser stride", wrong(Resize, "window", lambda w: (Window(1, Fraction(2)), w[1]))),
    ("window_is_gradient_support", "the neighbour", wrong(BatchNorm2d, "window", reads_next)),
    ("window_is_gradient_support", "local", wrong(GroupNorm, "window", lambda w: (Window(), Window()))),
    ("window_is_gradient_support", "global", wrong(ReLU, "window", lambda w: (Spread.WHOLE, w[1]))),
    ("window_is_gradient_support", "moved", wrong(Linear, "window", lambda w: (Spread.PERMUTED, Spread.PERMUTED))),
    ("window_is_gradient_support", "second input", copied(Concat, to_torch=lambda self: SecondRolled())),
    ("window_is_gradient_support", "mirrored and shifted", wrong(Pad, "window", lambda w: (Window(after=2), w[1]))),
    ("text_round_trips", "an attribute lost", wrong(Conv2d, "attrs", lambda a: {**a, "dilation": 1})),
    ("text_round_trips", "unlike itself", copied(ReLU, __eq__=lambda self, other: False)),
    ("text_round_trips", "restless hash", copied(ReLU, __hash__=lambda self: id(self))),
    ("input_count_is_checked", "any number", copied(ReLU, check_inputs=lambda self, types: None)),
    ("bad_sample_is_refused", "accepted", with_bad_samples(ReLU, BadSample({}, (MAP,), "inputs", 1))),
    ("bad_sample_is_refused", "attribute unnamed", with_bad_samples(ReLU, BadSample({}, (MAP, MAP), "count", 2))),
    ("bad_sample_is_refused", "value unnamed", with_bad_samples(ReLU, BadSample({}, (MAP, MAP), "inputs", 3))),
    ("bad_sample_is_refused", "another error", copied(ReLU, check_inputs=raise_other)),
    ("bad_sample_is_refused", "none given", with_bad_samples(ReLU)),
)  # fmt: skip


EXPECTED_CAUSES = (AssertionError, UnexpectedError, type(None))  # None: there was no sample to check


class SecondRolled(nn.Module):
    """Stacks its inputs, the second one moved by a pixel."""

    def forward(self, first, second, *others):
        return torch.cat((first, second.roll(1, 2), *others), 1)


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
