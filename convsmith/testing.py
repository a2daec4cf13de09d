"""The conformance harness: what an operator says about itself, held against what torch does.

An operator states the same facts several times over (a shape rule, cost terms, a window, a matrix, a torch module).
This file is where they are made to agree. It is public so that an operator written elsewhere can be held to the
same contract; see ``docs/add_an_op.md``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from convsmith.errors import OpError
from convsmith.ir import BadSample, Op, Sample, Spread, TensorType, Window
from convsmith.ir.text import read_op, write_op

_TOLERANCE = 1e-12  # relative, in float64
_DRAWS = 16  # random maps per sample, so that every tap of a max pool wins once and every ReLU is open once
_FILLED_EDGES = (
    "reflect",
    "replicate",
    "circular",
)  # values of an attribute ``mode`` that put pixels where others put zeros


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
    """Names and shapes of the parameters, and of everything stored, are those of the module; counters are left out."""
    module = sample.op.to_torch()
    said = sample.op.param_shapes(*sample.types)
    actual = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    assert said == actual, f"param_shapes says {said}, torch has {actual}"
    said = sample.op.stored_shapes(*sample.types)
    actual = {name: tuple(array.shape) for name, array in module.state_dict().items() if name != "num_batches_tracked"}
    assert said == actual, f"stored_shapes says {said}, torch has {actual}"


def taps_are_torchs(sample: Sample) -> None:
    """Multiply-adds are half of what torch's flop counter sees, and a bias is added once to every element.

    The counter sees none where it has no formula.
    """
    inputs = [torch.empty(type.shape, device="meta") for type in sample.types]
    module = sample.op.to_torch().eval().to("meta")
    with FlopCounterMode(display=False) as counter:
        module(*inputs)
    terms = sample.op.terms(*sample.types)
    flops = counter.get_total_flops()
    assert 2 * terms.macs == flops, f"terms say {terms.macs} macs, torch {flops} flops"
    if terms.taps:
        added = sample.op.infer(*sample.types).numel if "bias" in module.state_dict() else 0
        assert terms.bias == added, f"terms say {terms.bias} additions of a bias, there are {added}"


def terms_are_counts(sample: Sample) -> None:
    """Every term is a non-negative integer, and twice as large for twice the batch."""
    op, types = sample.op, sample.types
    carries = _carry_batch(op, types)
    once = op.terms(*types).to_dict()
    twice = op.terms(*_with_batch(types, carries, 2)).to_dict()
    times = 2 if any(carries) else 1
    for name, count in once.items():
        assert type(count) is int, f"{name} is not an integer: {count!r}"
        assert count >= 0, f"{name} is negative: {count}"
        assert twice[name] == times * count, f"{name} is {count} for one batch and {twice[name]} for two"


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
        assert not linear or not parts.isfinite().all(), "the module is linear, but matrix gives None"


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

    Their number is that of the weights, once for every place in the input; along an axis with a window it is what the
    window reads there in place of the size and the kernel.
    """
    op, types = sample.op, sample.types
    taps = op.terms(*types).taps
    module = _random_module(op)
    matrix = _matrix(op, types, module)
    if matrix is None or taps == 0:
        return
    features = getattr(op, "in_features", types[0].shape[1])
    entries = types[0].numel // features * module.state_dict()["weight"].numel()
    for axis, window in _windows(sample):
        size = types[0].shape[axis]
        entries = entries // (size * window.kernel) * window.real_taps(size)
    assert matrix.nnz == entries, f"the matrix has {matrix.nnz} entries, the windows read {entries} pixels"
    padded = bool(torch.tensor(getattr(op, "padding", 0)).any())
    holds = matrix.nnz < taps if padded else matrix.nnz == taps
    assert holds, f"the matrix has {matrix.nnz} entries, terms say {taps} taps, padding is {padded}"


def window_fits_shape(sample: Sample) -> None:
    """A window slid over an axis of any input gives as many positions as ``infer`` says."""
    output = sample.op.infer(*sample.types)
    for axis, window in _windows(sample):
        for index in _slid(sample, axis, window):
            positions = window.output_size(sample.types[index].shape[axis])
            assert positions == output.shape[axis], f"axis {axis}: {positions} positions, infer says {output}"


def window_is_what_is_read(sample: Sample) -> None:
    """An output reads what changes it: along height and along width just the pixels that its window covers.

    Where there is no window, every element of the output reads the whole axis of some input if that is what the
    operator says (``WHOLE``), and a single place of it if positions are moved (``PERMUTED``).

    A window is exact but in two cases. An operator that mirrors, repeats or wraps pixels at the edge reads them in
    place of taps off the map; there the taps on the map are a subset of what is read. And of the taps of a bicubic
    point that hits a pixel, only that pixel has a weight.
    """
    carries = _carry_batch(sample.op, sample.types)
    module = _random_module(sample.op)
    inputs = _drawn_inputs(module, _with_batch(sample.types, carries, _DRAWS))
    for axis, read in zip((-2, -1), sample.op.window(*sample.types), strict=True):
        asked = _with_axis(sample.types, carries, axis)
        if isinstance(read, Window):
            for index in _slid(sample, axis, read):
                changes = _changes(module, inputs, index, axis, any(carries))
                _check_window(read, changes.movedim(axis, 1).flatten(2).any(2), axis, getattr(sample.op, "mode", ""))
        elif asked:
            changes = [_changes(module, inputs, index, axis, any(carries)) for index in asked]
            _check_spread(read, changes, axis)


def text_round_trips(sample: Sample) -> None:
    """The text form reads back as an equal operator with an equal hash."""
    text = write_op(sample.op)
    again = read_op(text, (type(sample.op),))
    assert again == sample.op, f"{text} reads back as {again}"
    assert hash(again) == hash(sample.op), f"{text} reads back with another hash"
    assert dataclasses.asdict(again) == dataclasses.asdict(sample.op), f"{text} reads back as {again}"  # type: ignore[arg-type]


def input_count_is_checked(sample: Sample) -> None:
    """One input too many, or a single one where branches come together, is refused."""
    more = (*sample.types, *sample.types[:1]) if sample.types else (TensorType((1,)),)
    types = sample.types[:1] if sample.op.arity is None else more
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
    window_is_what_is_read,
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


def _drawn_inputs(module: nn.Module, types: Sequence[TensorType]) -> list[list[Tensor]]:
    """Two draws of every input, made positive for a function that has no value elsewhere."""
    draws = [_random_inputs(types, seed) for seed in (0, 1)]
    if not module(*draws[0]).isfinite().all():
        draws = [[input.abs() for input in draw] for draw in draws]
    return draws


def _carry_batch(op: Op, types: Sequence[TensorType]) -> list[bool]:
    """For each input, whether its axis 0 is the batch: it has the size of axis 0 of the output.

    Samples are chosen so that nothing else is of that size there.
    """
    batch = op.infer(*types).shape[:1]
    return [type.shape[:1] == batch != () for type in types]


def _with_batch(types: Sequence[TensorType], carries: Sequence[bool], times: int) -> list[TensorType]:
    return [
        type.with_shape(type.shape[0] * times, *type.shape[1:]) if carried else type
        for type, carried in zip(types, carries, strict=True)
    ]


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


def _windows(sample: Sample) -> list[tuple[int, Window]]:
    """Axes with a window, counted from the last. Fewer than four axes are no map: rows of features stay in place."""
    reads = zip((-2, -1), sample.op.window(*sample.types), strict=True)
    rank = max((type.rank for type in sample.types), default=0)
    return [(axis, read) for axis, read in reads if isinstance(read, Window) and (rank >= 4 or read != Window())]


def _slid(sample: Sample, axis: int, window: Window) -> list[int]:
    """The inputs that a window slides over: the maps, but for those of size 1 that are spread over the others."""
    if (axis, window) not in _windows(sample):
        return []
    output = sample.op.infer(*sample.types).shape
    rank = max(type.rank for type in sample.types)
    assert len(output) >= min(rank, 4), f"axis {axis}: {window}, but the output {output} is no map"
    spread = [len(sample.types) > 1 and type.shape[axis:][:1] == (1,) != output[axis:][:1] for type in sample.types]
    return [index for index, type in enumerate(sample.types) if type.rank >= min(rank, 4) and not spread[index]]


def _with_axis(types: Sequence[TensorType], carries: Sequence[bool], axis: int) -> list[int]:
    """The inputs that have the axis, where it is not the batch."""
    return [
        index for index, (type, carried) in enumerate(zip(types, carries, strict=True)) if type.rank >= -axis + carried
    ]


def _check_window(window: Window, changes: Tensor, axis: int, mode: str) -> None:
    size = len(changes)
    for output, column in enumerate(changes.T):
        read = set(column.nonzero().ravel().tolist())
        taps = [pixel for _, pixel in window.reads(output, size)]
        said = set(taps)
        filled = mode in _FILLED_EDGES and len(taps) < window.kernel and said <= read
        hit = mode == "bicubic" and len(read) == 1 and read <= said
        holds = said == read or filled or hit
        assert holds, f"axis {axis}: output {output} reads {sorted(read)}, {window} says {sorted(said)}"


def _check_spread(spread: Spread, inputs: Sequence[Tensor], axis: int) -> None:
    if spread is Spread.WHOLE:
        whole = any(bool(changes.all()) for changes in inputs)
        assert whole, f"axis {axis}: no input is read whole by every output"
    else:
        places = [int(changes.sum(0).max()) for changes in inputs]
        read = sum(changes.any(0) for changes in inputs)
        assert max(places) <= 1, f"axis {axis}: an output reads {max(places)} places, not one"
        assert bool(torch.as_tensor(read).all()), f"axis {axis}: an output reads nothing"


def _changes(module: nn.Module, inputs: Sequence[Sequence[Tensor]], index: int, axis: int, batched: bool) -> Tensor:
    """Which elements of the output change when one place along an axis of an input is drawn anew: (places, *output).

    The images of a batch are taken together.
    """
    first, second = inputs
    with torch.no_grad():
        before = module(*first)
        changes = list[Tensor]()
        for place in range(first[index].shape[axis]):
            drawn = first[index].clone()
            drawn.select(axis, place).copy_(second[index].select(axis, place))
            after = module(*first[:index], drawn, *first[index + 1 :])
            changed = (after - before).abs() > 1e-9 * before.abs().max()
            changes.append(changed.any(0, keepdim=True) if batched else changed)
    return torch.stack(changes)
