"""What each counting tool adds up for each operator: weights on the ledger, or the tool's own formula.

The tables give what a tool really does at the version that ``conventions.py`` names, mistakes included. They were
written from what the tools do, and ``benchmarks/peers.py`` runs the tools beside them. ``Op`` stands for every
operator without an entry, a user's own too: it counts its macs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from convsmith.ir import Op, TensorType, Terms
from convsmith.ops import (
    ELU,
    GELU,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Einsum,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    InstanceNorm2d,
    LayerNorm,
    LayerNorm2d,
    LeakyReLU,
    Linear,
    MatMul,
    MaxPool2d,
    PReLU,
    ReLU,
    ReLU6,
    Resize,
    ScaledDotProductAttention,
    SiLU,
    Softmax,
)


@dataclass(frozen=True)
class Call:
    """One use of an operator, as a counting tool meets it.

    Attributes:
        op: The operator.
        inputs: Types of its inputs.
        output: Type of its output.
        by: What ran it, as in ``Reading.called``: ``ReLU`` is the torch.nn class, ``relu`` the function, ``X.relu`` the
            function in a module of another class X. None stands for the usual torch.nn class.
    """

    op: Any
    inputs: tuple[TensorType, ...]
    output: TensorType = field(compare=False)
    by: str | None = None

    @cached_property
    def terms(self) -> Terms:
        """Its line of the ledger."""
        return self.op.terms(*self.inputs)

    @property
    def function(self) -> str:
        """The function that ran it; empty if it was a torch.nn class."""
        return "" if self.by is None else self.by.rpartition(".")[2]


Rule = Callable[[Call], int]
Rules = Mapping[type[Op], Rule]


def ledger(**weights: int) -> Rule:
    """Terms of the ledger, each with its weight."""
    return lambda call: sum(weight * getattr(call.terms, term) for term, weight in weights.items())


def together(*rules: Rule) -> Rule:
    """The sum of several rules."""
    return lambda call: sum(rule(call) for rule in rules)


def every_term(call: Call) -> int:
    """All terms of the ledger once."""
    return sum(call.terms.to_dict().values())


def read(call: Call) -> int:
    """Every input element once, however often windows read it."""
    return call.inputs[0].numel


def written(call: Call) -> int:
    """Every output element once."""
    return call.output.numel


def written_by_taps(call: Call) -> int:
    """Every output element of a layer with weights once."""
    return call.output.numel if call.terms.taps else 0


def _params(call: Call) -> int:
    """Every learned parameter of a module without modules inside, once."""
    if call.by is not None and not call.by[:1].isupper():
        return 0
    return sum(map(math.prod, call.op.param_shapes(*call.inputs).values()))


def _params_per_pixel(call: Call) -> int:
    """Those parameters once for each output pixel, also where the convolution is transposed."""
    return _params(call) * call.output.numel // call.output.shape[1]


def _norm(affine: int, plain: int) -> Rule:
    """Per normalised element, with a learned scale and without."""
    return lambda call: call.terms.norm * (affine if call.op.affine else plain)


def _resize(**weights: int) -> Rule:
    """Per output element, by mode."""
    return lambda call: call.terms.resize * weights.get(call.op.mode, 0)


def _pooled(call: Call) -> int:
    """Every input element once, but nothing where a mean over the axes did the work: no tool looks at that."""
    return read(call) if call.by in (None, "AdaptiveAvgPool2d") or call.function == "adaptive_avg_pool2d" else 0


def _one_channel(call: Call) -> int:
    """Every output pixel once, whatever the number of channels."""
    return math.prod(call.output.shape[2:])


def _first_operand(call: Call) -> int:
    """A product of matrices for the leading axes of the first: too little where it is spread over the second."""
    return call.inputs[0].numel * call.output.shape[-1]


def _einsum_in_four_digits(call: Call) -> int:
    """Half of what numpy prints for the work of an einsum, in four digits; two equations are counted in full."""
    letters = dict.fromkeys(filter(str.isalpha, call.op.equation))
    equation = call.op.equation.translate({ord(letter): 97 + place for place, letter in enumerate(letters)})
    if equation in ("abc,abd->acd", "abc,adc->adb"):
        return call.terms.attention
    return int(float(f"{2 * call.terms.attention + call.terms.add + 1:.3e}") / 2)  # numpy adds the 1


def _slides_over_output(call: Call) -> int:
    """A transposed convolution taken for a plain one: too much by the product of the strides."""
    return call.output.numel * (call.op.in_channels // call.op.groups) * math.prod(call.op.kernel_size)


def _mean_of_ratio(call: Call) -> int:
    """A division per output element, and a window of input size / output size, which need not be whole."""
    (height, width), (rows, columns) = call.inputs[0].shape[2:], call.output.shape[2:]
    return int((height / rows * (width / columns) + 1) * call.output.numel)


def _softmax(call: Call) -> int:
    """An exponential and a division per element, and the sum of each row."""
    elements = call.inputs[0].numel
    return 3 * elements - elements // call.inputs[0].shape[call.op.axis]


NOTHING: Final = ledger()
MACS: Final = ledger(taps=1, attention=1)
FLOPS: Final = ledger(taps=2, attention=2)

CONVS: Final = (Conv1d, Conv2d, ConvTranspose2d)
_BATCH_NORMS: Final = (BatchNorm1d, BatchNorm2d)
_LAYER_NORMS: Final = (LayerNorm, LayerNorm2d)
_POOLS: Final = (AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, GlobalAvgPool, GlobalMaxPool, MaxPool2d)
_PRODUCTS: Final = (Einsum, MatMul, ScaledDotProductAttention)

FVCORE: Final[Rules] = {
    Op: MACS,
    **dict.fromkeys(_BATCH_NORMS, _norm(2, 1)),
    **dict.fromkeys((*_LAYER_NORMS, GroupNorm, InstanceNorm2d), _norm(5, 4)),
    AdaptiveAvgPool2d: read,
    Einsum: _einsum_in_four_digits,
    GlobalAvgPool: _pooled,
    MatMul: _first_operand,
    Resize: _resize(nearest=1, bilinear=4),
    ScaledDotProductAttention: NOTHING,
}

THOP: Final[Rules] = {
    Op: MACS,
    **dict.fromkeys((*_BATCH_NORMS, *_LAYER_NORMS, InstanceNorm2d), _norm(4, 2)),
    **dict.fromkeys((AdaptiveAvgPool2d, GlobalAvgPool), _mean_of_ratio),
    **dict.fromkeys(_PRODUCTS, NOTHING),
    AvgPool2d: written,
    ConvTranspose2d: _slides_over_output,
    PReLU: ledger(activation=1),
    Resize: _resize(nearest=1, bilinear=11, bicubic=259),
    Softmax: _softmax,
}
THOP_OLD: Final[Rules] = {
    **THOP,
    **dict.fromkeys(_BATCH_NORMS, _norm(2, 2)),
    **dict.fromkeys((*_LAYER_NORMS, InstanceNorm2d, PReLU, Softmax), NOTHING),
    **dict.fromkeys((Conv1d, Conv2d), ledger(taps=1, bias=1)),
    ConvTranspose2d: together(_slides_over_output, ledger(bias=1)),
    LeakyReLU: ledger(activation=1),
    Resize: _resize(bilinear=11, bicubic=259),
}
THOP_MODULES: Final = frozenset(
    "AdaptiveAvgPool2d AvgPool1d AvgPool2d BatchNorm1d BatchNorm2d Conv1d Conv2d Conv3d ConvTranspose2d InstanceNorm2d "
    "LayerNorm LeakyReLU Linear PReLU Softmax SyncBatchNorm Upsample UpsamplingBilinear2d UpsamplingNearest2d".split()
)

PTFLOPS_OLD: Final[Rules] = {
    Op: MACS,
    **dict.fromkeys((*_BATCH_NORMS, GroupNorm, InstanceNorm2d), _norm(2, 1)),
    **dict.fromkeys((*CONVS, Linear), ledger(taps=1, bias=1)),
    **dict.fromkeys((ELU, GELU, LeakyReLU, PReLU, ReLU, ReLU6), ledger(activation=1)),
    **dict.fromkeys(_LAYER_NORMS, ledger(norm=1)),
    **dict.fromkeys(_POOLS, read),
    **dict.fromkeys(_PRODUCTS, NOTHING),
    Resize: ledger(resize=1),
}
PTFLOPS_FUNCTIONS: Final[Rules] = {
    Op: NOTHING,
    **dict.fromkeys((ELU, GELU, PReLU, ReLU, SiLU, Softmax), ledger(activation=1)),
    **dict.fromkeys(_POOLS, read),
    GlobalAvgPool: _pooled,
    MatMul: _first_operand,
    Resize: ledger(resize=1),
}
PTFLOPS: Final[Rules] = {
    op: together(PTFLOPS_OLD.get(op, MACS), PTFLOPS_FUNCTIONS.get(op, NOTHING))
    for op in (*PTFLOPS_OLD, *PTFLOPS_FUNCTIONS)
}
"""A hook on the module and a wrapper around the function that it calls: what both know is counted by both."""
PTFLOPS_MODULES: Final = frozenset(
    "AdaptiveAvgPool2d AdaptiveMaxPool2d AvgPool1d AvgPool2d BatchNorm1d BatchNorm2d Conv1d Conv2d Conv3d "
    "ConvTranspose2d ELU GELU GroupNorm InstanceNorm2d LayerNorm LeakyReLU Linear MaxPool2d PReLU ReLU ReLU6 "
    "Upsample".split()
)

CALFLOPS: Final[Rules] = {
    Op: FLOPS,
    **dict.fromkeys(_BATCH_NORMS, _norm(2, 1)),
    **dict.fromkeys((*_LAYER_NORMS, GroupNorm, InstanceNorm2d), _norm(5, 4)),
    **dict.fromkeys(CONVS, ledger(taps=2, bias=1)),
    **dict.fromkeys((ELU, GELU, LeakyReLU, PReLU, ReLU, SiLU, Softmax), ledger(activation=1)),
    **dict.fromkeys(_POOLS, read),
    GlobalAvgPool: _pooled,
    Resize: _one_channel,
    ScaledDotProductAttention: NOTHING,
}
TORCHINFO: Final[Rules] = {Op: _params, **dict.fromkeys(CONVS, _params_per_pixel)}
