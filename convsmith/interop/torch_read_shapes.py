"""How torch's functions that move, cut and join elements become operators; see ``torch_read_layers``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # the field's name for it

from convsmith.interop.recorder import Value
from convsmith.interop.torch_read_layers import Handler
from convsmith.interop.torch_trace import Trace, make
from convsmith.ir import Shape
from convsmith.ops import (
    Concat,
    Expand,
    Flatten,
    Gather,
    Reshape,
    Roll,
    Slice,
    Take,
)

_LISTED = 64


def _reshaped(function: Any, label: str) -> Handler:
    """A handler for a function that changes the shape and keeps the order of the elements."""

    def handler(t: Trace, input: Tensor, *args: Any, **options: Any) -> Any:
        value = t.values.get(id(input))
        if value is None:
            return NotImplemented
        result = function(input, *args, **options)
        return t.bind(result, reshape(t, value, tuple(result.shape), label))

    return handler


def reshape(t: Trace, value: Value, shape: Shape, label: str = "reshape") -> Value:
    """The value in another shape, as torch sees both."""
    before = t.recorder.shape(value)
    if shape == before:
        return value
    if len(shape) == 2 and len(before) > 1 and shape[0] == before[0]:
        one_pixel = len(before) == 4 and (before[1:3] == (1, 1) if value.channels_last else before[2:] == (1, 1))
        return t.step(make(Flatten), Value(value.name) if one_pixel else value, function="flatten")
    return t.step(make(Reshape, (-1, *shape[1:])), value, function=label)


def _permuted(axes_of: Any, function: str) -> Handler:
    """A handler for a function that reorders axes; ``axes_of(rank, ...)`` gives the new order."""

    def handler(t: Trace, input: Tensor, *args: Any, **options: Any) -> Any:
        value = t.values.get(id(input))
        if value is None:
            return NotImplemented
        return t.track(permute(t, value, axes_of(input.dim(), *args, **options), function))

    return handler


def permute(t: Trace, value: Value, axes: Shape, label: str = "permute") -> Value:
    """The value with its axes in another order, as torch sees them."""
    name, ran = t.named(label)
    result = t.recorder.permute(value, axes, name=name)
    t.called.setdefault(result.name, ran)
    return result


def _permute_axes(rank: int, *dims: Any) -> tuple[int, ...]:
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple | list | torch.Size) else dims
    return tuple(axis % rank for axis in order)


def _swap_axes(rank: int, dim0: int = 0, dim1: int = 1) -> tuple[int, ...]:
    axes = list(range(rank))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return tuple(axes)


def _move_axes(rank: int, source: Any, destination: Any) -> tuple[int, ...]:
    return tuple(torch.empty(tuple(range(rank)), device="meta").movedim(source, destination).shape)


def _reversed_axes(rank: int) -> tuple[int, ...]:
    return tuple(reversed(range(rank)))


def _cat(t: Trace, tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None, out: None = None) -> Any:
    dim = dim if axis is None else axis
    tensors = [tensor for tensor in tensors if tensor.numel()]
    tracked = [t.values[id(tensor)] for tensor in tensors if id(tensor) in t.values]
    if not tracked:
        return NotImplemented
    rank = t.recorder.types[tracked[0].name].rank
    on_map = len(tracked) == len(tensors) and len({value.channels_last for value in tracked}) == 1
    values = tracked if on_map else [t.recorder.plain(t.operand(tensor)) for tensor in tensors]
    axis = t.recorder.axis(values[0], dim % rank)
    if len(values) == 1:
        return t.track(values[0])
    return t.track(t.step(make(Concat, axis), *values, function="cat", on_map=on_map))


def _stack(t: Trace, tensors: Sequence[Tensor], dim: int = 0) -> Any:
    if not any(id(tensor) in t.values for tensor in tensors):
        return NotImplemented
    rank = tensors[0].dim() + 1
    parts = []
    for tensor in tensors:
        shape = list(tensor.shape)
        shape.insert(dim % rank, 1)
        parts.append(t.bind(tensor.detach().reshape(shape), reshape(t, t.operand(tensor), tuple(shape))))
    return _cat(t, parts, dim)


def _slice(t: Trace, value: Value, dim: int, start: int, stop: int, step: int = 1) -> Value:
    """Elements ``start`` to ``stop`` along an axis as torch sees it."""
    if (start, stop, step) == (0, t.recorder.shape(value)[dim], 1):
        return value
    op = make(Slice, t.recorder.axis(value, dim), start, stop, step)
    return t.step(op, value, function="slice", on_map=True)


def _parts(split: Any, *, squeeze: bool = False) -> Handler:
    """A handler for a function that cuts a tensor into consecutive parts along ``dim``."""

    def handler(t: Trace, input: Tensor, *args: Any, **options: Any) -> Any:
        value = t.values.get(id(input))
        if value is None:
            return NotImplemented
        results = split(input, *args, **options)
        dim = options.get("dim", args[-1] if len(args) > (0 if squeeze else 1) else 0) % input.dim()
        start, tensors = 0, []
        for result in results:
            size = 1 if squeeze else result.shape[dim]
            part = _slice(t, value, dim, start, start + size)
            tensors.append(t.bind(result, reshape(t, part, tuple(result.shape), "squeeze") if squeeze else part))
            start += size
        return tuple(tensors)

    return handler


def _getitem(t: Trace, input: Tensor, index: Any) -> Any:
    value = t.values.get(id(input))
    if value is None:
        return NotImplemented
    items = list(index) if isinstance(index, tuple) else [index]
    if any(isinstance(item, Tensor | list) for item in items):
        return _gather(t, input, value, items)
    result = input[index]
    if not result.numel():
        return result
    axes = sum(1 for item in items if item is not None and item is not Ellipsis)
    if any(item is Ellipsis for item in items):
        at = next(position for position, item in enumerate(items) if item is Ellipsis)
        items[at : at + 1] = [slice(None)] * (input.dim() - axes)
    dim = 0
    for item in items:
        if item is None:
            continue
        size = input.shape[dim]
        if isinstance(item, slice):
            value = _slice(t, value, dim, *item.indices(size))
        elif isinstance(item, int) and not isinstance(item, bool):
            start = item % size
            value = _slice(t, value, dim, start, start + 1)
        else:
            return NotImplemented
        dim += 1
    return t.bind(result, reshape(t, value, tuple(result.shape), "squeeze"))


def _gather(t: Trace, input: Tensor, value: Value, items: list[Any]) -> Any:
    """Indexing by one tensor or list of numbers, all other axes whole."""
    lists = [(dim, item) for dim, item in enumerate(items) if not (isinstance(item, slice) and item == slice(None))]
    if len(lists) != 1 or lists[0][1] is Ellipsis or lists[0][1] is None:
        return NotImplemented
    return _index_select(t, input, *lists[0])


def _index_select(t: Trace, input: Tensor, dim: int, index: Any) -> Any:
    """A short list or an order of a whole axis stands in the graph; a table, or one without its numbers, is stored."""
    value = t.values.get(id(input))
    chosen = torch.as_tensor(index)
    if value is None or id(index) in t.values or chosen.dtype == torch.bool:
        return NotImplemented
    dim %= input.dim()
    if not chosen.is_meta and chosen.dim() == 1:
        places = [one % input.shape[dim] for one in chosen.tolist()]
        if len(places) <= _LISTED or sorted(places) == list(range(input.shape[dim])):
            return t.track(picked(t, value, dim, places, "index"))
    return t.track(t.step(make(Take, dim, tuple(chosen.shape)), value, function="index"))


def picked(t: Trace, value: Value, dim: int, places: Sequence[int], label: str) -> Value:
    """The elements at these places of an axis as torch sees it."""
    if list(places) == list(range(t.recorder.shape(value)[dim])):
        return value
    op = make(Gather, t.recorder.axis(value, dim), tuple(places))
    return t.step(op, value, function=label, on_map=True)


def _repeat_interleave(t: Trace, input: Tensor, repeats: Any, dim: int | None = None, **_: Any) -> Any:
    value = t.values.get(id(input))
    if value is None or dim is None or not isinstance(repeats, int):
        return NotImplemented
    places = [place for place in range(input.shape[dim]) for _ in range(repeats)]
    return t.track(picked(t, value, dim % input.dim(), places, "repeat_interleave"))


def _repeat(t: Trace, input: Tensor, *sizes: Any) -> Any:
    """Repeating along axes of size one is spreading over them."""
    value = t.values.get(id(input))
    counts = tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    padded = (1,) * (len(counts) - input.dim()) + tuple(input.shape)
    if value is None or any(count != 1 and size != 1 for count, size in zip(counts, padded, strict=True)):
        return NotImplemented
    shape = tuple(count * size for count, size in zip(counts, padded, strict=True))
    return t.track(_spread(t, reshape(t, value, padded), shape, "repeat"))


def _select(t: Trace, input: Tensor, dim: int, index: int) -> Any:
    return _getitem(t, input, (*(slice(None),) * (dim % input.dim()), index))


def _narrow(t: Trace, input: Tensor, dim: int, start: int, length: int) -> Any:
    return _getitem(t, input, (*(slice(None),) * (dim % input.dim()), slice(start, start + length)))


def _expand(t: Trace, input: Tensor, *sizes: Any) -> Any:
    value = t.values.get(id(input))
    if value is None:
        return NotImplemented
    result = input.expand(*sizes)
    return t.bind(result, _spread(t, value, tuple(result.shape), "expand"))


def _spread(t: Trace, value: Value, shape: Shape, label: str) -> Value:
    """The value repeated along axes of size one, and new ones in front; the batch stays open where it stays."""
    before = t.recorder.shape(value)
    if shape == before:
        return value
    batch = -1 if len(shape) == len(before) and shape[0] == before[0] else shape[0]
    return t.step(make(Expand, (batch, *shape[1:])), value, function=label)


def _expand_as(t: Trace, input: Tensor, other: Tensor) -> Any:
    return _expand(t, input, *other.shape)


def _channel_shuffle(t: Trace, input: Tensor, groups: int) -> Any:
    value = t.values.get(id(input))
    if value is None:
        return NotImplemented
    batch, channels, *size = input.shape
    cut = reshape(t, value, (batch, groups, channels // groups, *size))
    return t.track(reshape(t, permute(t, cut, (0, 2, 1, *range(3, 3 + len(size)))), tuple(input.shape)))


def _roll(t: Trace, input: Tensor, shifts: Any, dims: Any = None) -> Any:
    value = t.values.get(id(input))
    if value is None or dims is None:
        return NotImplemented
    pairs = zip(shifts, dims, strict=True) if isinstance(dims, tuple | list) else ((shifts, dims),)
    for shift, dim in pairs:
        axis = t.recorder.axis(value, dim % input.dim())
        value = t.step(make(Roll, shift, axis), value, function="roll", on_map=True)
    return t.track(value)


def _same(t: Trace, input: Any, *_: Any, **__: Any) -> Any:
    """A function that changes nothing of a network in use."""
    value = t.values.get(id(input))
    return NotImplemented if value is None else t.track(value)


def _cast(t: Trace, input: Tensor, *args: Any, **options: Any) -> Any:
    """A change of type is none of the network; the tensor that it may be taken from gives nothing else."""
    if id(input) in t.values or not (args and isinstance(args[0], Tensor)):
        return _same(t, input)
    result = input.to(args[0].dtype)
    t.derive([input], [result])
    return result


SHAPES: dict[Any, Handler] = {
    torch.cat: _cat,
    torch.concat: _cat,
    torch.concatenate: _cat,
    torch.stack: _stack,
    Tensor.__getitem__: _getitem,
    torch.select: _select,
    Tensor.select: _select,
    torch.narrow: _narrow,
    Tensor.narrow: _narrow,
    torch.index_select: _index_select,
    Tensor.index_select: _index_select,
    Tensor.repeat: _repeat,
    torch.repeat_interleave: _repeat_interleave,
    Tensor.repeat_interleave: _repeat_interleave,
    Tensor.expand: _expand,
    Tensor.expand_as: _expand_as,
    torch.split: _parts(torch.split),
    Tensor.split: _parts(torch.split),
    torch.chunk: _parts(torch.chunk),
    Tensor.chunk: _parts(torch.chunk),
    torch.tensor_split: _parts(torch.tensor_split),
    torch.unbind: _parts(torch.unbind, squeeze=True),
    Tensor.unbind: _parts(torch.unbind, squeeze=True),
    F.channel_shuffle: _channel_shuffle,
    torch.roll: _roll,
    Tensor.roll: _roll,
    Tensor.to: _cast,
    Tensor.type_as: _cast,
}
"""The handler of every function that moves, cuts or joins elements."""

for _name in ("reshape", "flatten", "unsqueeze", "squeeze", "unflatten", "view", "view_as", "reshape_as", "ravel"):
    for _home in (torch, Tensor):
        if hasattr(_home, _name):
            SHAPES[getattr(_home, _name)] = _reshaped(getattr(_home, _name), _name)
for _name, _axes in (
    ("permute", _permute_axes),
    ("transpose", _swap_axes),
    ("swapaxes", _swap_axes),
    ("swapdims", _swap_axes),
    ("movedim", _move_axes),
    ("moveaxis", _move_axes),
    ("t", _reversed_axes),
):
    SHAPES[getattr(torch, _name)] = SHAPES[getattr(Tensor, _name)] = _permuted(_axes, _name)
for _function in (
    F.dropout, F.dropout1d, F.dropout2d, F.alpha_dropout, F.feature_alpha_dropout, torch.dropout, torch.clone,
    torch.detach, Tensor.clone, Tensor.detach, Tensor.contiguous, Tensor.float, Tensor.half,
    Tensor.bfloat16, Tensor.double, Tensor.type, Tensor.cpu, Tensor.cuda, Tensor.requires_grad_,
    Tensor.positive, torch.positive,
):  # fmt: skip
    SHAPES[_function] = _same
