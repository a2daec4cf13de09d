"""The conformance harness: what an operator says about itself, held against what torch does.

An operator states the same facts several times over (a shape rule, cost terms, a window, a matrix, a torch module).
This file is where they are made to agree. It is public so that an operator written elsewhere can be held to the
same contract; see ``docs/add_an_op.md``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from convsmith.errors import OpError
from convsmith.ir import BadSample, Op, Sample, Spread, TensorType, Window
from convsmith.ir.text import read_op, write_op

_TOLERANCE = 1e-12  # relative, in float64
_DRAWS = 16  # random maps per sample, so that every tap of a max pool wins once and every ReLU is open once
_FILLED_EDGES = ("reflect", "replicate")  # values of an attribute ``mode`` that put pixels where others put zeros


def check_op(op_class: type[Op], checks: Sequence[Callable[..., None]] | None = None) -> None:
    """Run every sample and every bad sample of ``op_class`` through ``checks``, by default all of ``CHECKS``.

    Raises:
        AssertionError: Naming the operator, the check and the sample that failed it.
    """
    for check in CHECKS if checks is None else checks:
        subjects = op_class.bad_samples() if check is bad_sample_is_refused else op_class.samples()
        if not subjects:
            raise AssertionError(f"{op_class.__name__}: {check.__name__}: there is no sample to check")
        for subject in subjects:
            try:
                check(subject) if isinstance(subject, Sample) else check(op_class, subject)
            except Exception as error:
                raise AssertionError(f"{op_class.__name__}: {check.__name__}: {subject}: {error}") from error


def shape_is_torchs(sample: Sample) -> None:
    """The inferred type is that of the module's output on the meta device."""
    inputs = [torch.empty(type.shape, dtype=getattr(torch, type.dtype), device="meta") for type in sample.types]
    output = sample.op.to_torch().eval().to("meta")(*inputs)
    inferred = sample.op.infer(*sample.types)
    actual = TensorType(tuple(output.shape), str(output.dtype).removeprefix("torch."))
    assert inferred == actual, f"infer says {inferred}, torch gives {actual}"


def params_are_torchs(sample: Sample) -> None:
    """Names and shapes of the parameters are those of the module."""
    said = sample.op.param_shapes(*sample.types)
    actual = {name: tuple(parameter.shape) for name, parameter in sample.op.to_torch().named_parameters()}
    assert said == actual, f"param_shapes says {said}, torch has {actual}"


def taps_are_torchs(sample: Sample) -> None:
    """Multiply-adds are half of what torch's flop counter sees; it sees none where it has no formula."""
    inputs = [torch.empty(type.shape, device="meta") for type in sample.types]
    module = sample.op.to_torch().eval().to("meta")
    with FlopCounterMode(display=False) as counter:
        module(*inputs)
    macs = sample.op.terms(*sample.types).macs
    assert 2 * macs == counter.get_total_flops(), f"terms say {macs} macs, torch {counter.get_total_flops()} flops"


def terms_are_counts(sample: Sample) -> None:
    """Every term is a non-negative integer, and twice as large for twice the batch."""
    once = sample.op.terms(*sample.types).to_dict()
    twice = sample.op.terms(*(_with_batch(type, 2) for type in sample.types)).to_dict()
    for name, count in once.items():
        assert type(count) is int, f"{name} is not an integer: {count!r}"
        assert count >= 0, f"{name} is negative: {count}"
        assert twice[name] == 2 * count, f"{name} is {count} for one batch and {twice[name]} for two"


def matrix_is_module(sample: Sample) -> None:
    """The matrix times the flattened input is the module without its bias; without a matrix nothing is linear."""
    module = _random_module(sample.op)
    inputs = _random_inputs(sample.types)
    matrix = _matrix(sample.op, sample.types, module)
    if matrix is not None:
        output = _unbiased(module, inputs).ravel()
        _assert_close(torch.from_numpy(matrix @ inputs[0].ravel().numpy()), output, "matrix @ x")
    elif len(sample.types) == 1:
        first, second = 10 * inputs[0], 10 * _random_inputs(sample.types, seed=1)[0]  # past where activations bend
        parts = _unbiased(module, [first]) + _unbiased(module, [second])
        linear = torch.allclose(_unbiased(module, [first + second]), parts, rtol=1e-9, atol=1e-9)
        assert not linear, "the module is linear, but matrix gives None"


def matrix_transposed_is_gradient(sample: Sample) -> None:
    """The transposed matrix times a gradient is what autograd sends back."""
    module = _random_module(sample.op)
    matrix = _matrix(sample.op, sample.types, module)
    if matrix is None:
        return
    (input,) = _random_inputs(sample.types)
    output = module(input.requires_grad_())
    cotangent = torch.randn(output.shape, dtype=torch.float64, generator=_generator(2))
    (gradient,) = torch.autograd.grad(output, input, cotangent)
    _assert_close(torch.from_numpy(matrix.T @ cotangent.ravel().numpy()), gradient.ravel(), "matrix.T @ g")


def matrix_counts_taps(sample: Sample) -> None:
    """Of the taps, the matrix holds those on real pixels: all of them without ``padding``, fewer with it.

    Their number is that of the weights without their kernel axes, times what the windows read along each axis.
    """
    op, types = sample.op, sample.types
    taps = op.terms(*types).taps
    matrix = _matrix(op, types, _random_module(op))
    if matrix is None or taps == 0:
        return
    entries = types[0].shape[0] * math.prod(op.param_shapes(*types)["weight"])
    for window, size in zip(op.window(*types), types[0].shape[2:], strict=False):
        if isinstance(window, Window):
            entries = entries // window.kernel * window.real_taps(size)
    assert matrix.nnz == entries, f"the matrix has {matrix.nnz} entries, the windows read {entries} pixels"
    padded = bool(torch.tensor(getattr(op, "padding", 0)).any())
    holds = matrix.nnz < taps if padded else matrix.nnz == taps
    assert holds, f"the matrix has {matrix.nnz} entries, terms say {taps} taps, padding is {padded}"


def window_fits_shape(sample: Sample) -> None:
    """A window slid over each axis gives as many positions as ``infer`` says."""
    output = sample.op.infer(*sample.types)
    for axis, window in enumerate(sample.op.window(*sample.types), start=2):
        if isinstance(window, Window) and sample.types[0].is_map:
            positions = window.output_size(sample.types[0].shape[axis])
            assert positions == output.shape[axis], f"axis {axis}: {positions} positions, infer says {output}"


def window_is_gradient_support(sample: Sample) -> None:
    """What an output position reads along an axis is where its gradient is not zero.

    Equal everywhere, with one exception: an operator that mirrors or repeats pixels at the edge may read them in
    place of taps off the map, so there the taps on the map are a subset of what is read.
    """
    module = _random_module(sample.op)
    inputs = _random_inputs([_with_batch(type, _DRAWS) for type in sample.types])
    filled = getattr(sample.op, "mode", "") in _FILLED_EDGES
    for axis, window in enumerate(sample.op.window(*sample.types), start=2):
        for index, type in enumerate(sample.types):
            if type.shape[2:] == sample.types[0].shape[2:]:  # a 1x1 map spread over the first has no window
                _check_axis(module, inputs, index, axis, window, filled=filled)


def text_round_trips(sample: Sample) -> None:
    """The text form reads back as an equal operator with an equal hash."""
    text = write_op(sample.op)
    again = read_op(text, (type(sample.op),))
    assert again == sample.op, f"{text} reads back as {again}"
    assert hash(again) == hash(sample.op), f"{text} reads back with another hash"
    assert dataclasses.asdict(again) == dataclasses.asdict(sample.op), f"{text} reads back as {again}"  # type: ignore[arg-type]


def input_count_is_checked(sample: Sample) -> None:
    """One input too many, or a single one where branches come together, is refused."""
    types = sample.types[:1] if sample.op.arity is None else (*sample.types, sample.types[0])
    message = _refusal(lambda: sample.op.infer(*types))
    assert "inputs must be" in message, f"{len(types)} inputs: {message}"


def bad_sample_is_refused(op_class: type[Op], sample: BadSample) -> None:
    """Refused with a one-line ``OpError`` that holds the attribute and the value."""
    message = _refusal(lambda: op_class(**sample.attrs).infer(*sample.types))
    assert sample.attribute in message, f"the message does not name {sample.attribute}: {message}"
    assert repr(sample.value) in message, f"the message does not show {sample.value!r}: {message}"
    assert "\n" not in message, f"the message is more than one line: {message}"


CHECKS: tuple[Callable[..., None], ...] = (
    shape_is_torchs,
    params_are_torchs,
    taps_are_torchs,
    terms_are_counts,
    matrix_is_module,
    matrix_transposed_is_gradient,
    matrix_counts_taps,
    window_fits_shape,
    window_is_gradient_support,
    text_round_trips,
    input_count_is_checked,
    bad_sample_is_refused,
)
"""Every check takes a ``Sample``; ``bad_sample_is_refused`` takes the class and a ``BadSample``."""


def _refusal(ask: Callable[[], object]) -> str:
    try:
        ask()
    except OpError as error:
        return str(error)
    raise AssertionError("accepted instead of refused")


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _random_inputs(types: Sequence[TensorType], seed: int = 0) -> list[Tensor]:
    generator = _generator(seed)
    return [torch.randn(type.shape, dtype=torch.float64, generator=generator) for type in types]


def _random_module(op: Op) -> nn.Module:
    """The module in evaluation mode and float64, with random parameters and positive random buffers."""
    with torch.random.fork_rng(devices=[]):
        module: nn.Module = op.to_torch().double().eval()
    generator = _generator(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, dtype=torch.float64, generator=generator))
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand(buffer.shape, dtype=torch.float64, generator=generator) + 0.5)
    return module


def _with_batch(type: TensorType, times: int) -> TensorType:
    return type.with_shape(type.shape[0] * times, *type.shape[1:])


def _unbiased(module: nn.Module, inputs: Sequence[Tensor]) -> Tensor:
    with torch.no_grad():
        return module(*inputs) - module(*(torch.zeros_like(input) for input in inputs))


def _matrix(op: Op, types: tuple[TensorType, ...], module: nn.Module) -> Any:
    if len(types) != 1:
        return None
    return op.matrix(types[0], {name: value.numpy() for name, value in module.state_dict().items()})


def _assert_close(actual: Tensor, expected: Tensor, what: str) -> None:
    assert actual.shape == expected.shape, f"{what} has {actual.numel()} elements, torch gives {expected.numel()}"
    error, scale = (actual - expected).abs().max().item(), expected.abs().max().item()
    assert error <= _TOLERANCE * max(scale, 1.0), f"{what} is off by {error:.3g}, where values reach {scale:.3g}"


def _check_axis(
    module: nn.Module, inputs: list[Tensor], index: int, axis: int, window: Window | Spread, *, filled: bool
) -> None:
    is_map = inputs[index].dim() == 4
    if isinstance(window, Window) and is_map:
        size = inputs[index].shape[axis]
        for output, read in enumerate(_reads(module, inputs, index, axis)):
            said = {pixel for _, pixel in window.reads(output, size)}
            holds = (
                said <= read if filled and sum(1 for _ in window.reads(output, size)) < window.kernel else said == read
            )
            assert holds, f"axis {axis}: output {output} reads {sorted(read)}, {window} says {sorted(said)}"
    elif window is Spread.WHOLE:
        everything = set(range(inputs[index].shape[axis] if is_map else inputs[index][0].numel()))
        for output, read in enumerate(_reads(module, inputs, index, axis if is_map else None)):
            assert read == everything, f"axis {axis}: output {output} reads {sorted(read)}, not the whole axis"
    elif window is Spread.PERMUTED:
        for output, read in enumerate(_reads(module, inputs, index, None)):
            assert len(read) == 1, f"output {output} reads {len(read)} elements, not one"


def _reads(module: nn.Module, inputs: list[Tensor], index: int, axis: int | None) -> Iterator[set[int]]:
    """For each output position along ``axis``, where along it a gradient arrives; None counts single elements."""
    input = inputs[index].detach().requires_grad_()
    output = module(*inputs[:index], input, *inputs[index + 1 :])
    lines = output.flatten(1).T if axis is None else output.movedim(axis, 0)
    weights = torch.randn(lines.shape, dtype=torch.float64, generator=_generator(4))
    for line, weight in zip(lines, weights, strict=True):
        (gradient,) = torch.autograd.grad(line, input, weight, retain_graph=True)
        arrived = gradient.flatten(1).T if axis is None else gradient.movedim(axis, 0).flatten(1)
        strength = arrived.abs().amax(1)
        yield set((strength > 1e-9 * strength.max()).nonzero().ravel().tolist())
