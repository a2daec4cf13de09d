"""How torch's windows over other axes than a map's two become operators: as tensors, or beneath a layer.

See ``torch_read_layers`` for what a handler is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # the field's name for it

from convsmith.errors import OpError
from convsmith.interop.torch_read_layers import Handler, fixed
from convsmith.interop.torch_read_shapes import permute, picked, reshape
from convsmith.interop.torch_trace import Trace, make
from convsmith.ops import AvgPool2d, Conv2d, Pad, Reduce, Reshape


def _tuple(value: Any, length: int) -> tuple[int, ...]:
    """One number per axis, as torch takes them: all, or one for all."""
    numbers = tuple(value) if isinstance(value, tuple | list) else (value,)
    return numbers * length if len(numbers) == 1 else numbers


def _unfold_axis(t: Trace, input: Tensor, dimension: int, size: int, step: int) -> Any:
    """``Tensor.unfold``: the windows of one axis, each with its elements along a new last axis."""
    value = t.values.get(id(input))
    if value is None:
        return NotImplemented
    result = input.unfold(dimension, size, step)
    axis = dimension % input.dim()
    lead, (count, *rest) = input.shape[:axis], result.shape[axis:-1]
    places = [window * step + place for window in range(count) for place in range(size)]
    apart = reshape(t, picked(t, value, axis, places, "unfold"), (*lead, count, size, *rest), "unfold")
    axes = (*range(axis + 1), *range(axis + 2, result.dim()), axis + 1)
    return t.bind(result, permute(t, apart, axes, "unfold"))


def _places(size: int, kernel: int, dilation: int, padding: int, stride: int) -> list[range]:
    """For each tap of a kernel, the places that it reads along a padded axis."""
    count = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    return [range(tap * dilation, tap * dilation + stride * count, stride) for tap in range(kernel)]


def _unfold(t: Trace, input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """``F.unfold``: (N, C, H, W) as (N, C * taps, windows)."""
    value = t.values.get(id(input))
    if value is None or input.dim() != 4:
        return NotImplemented
    axes = list(zip(*[_tuple(one, 2) for one in (kernel_size, dilation, padding, stride)], strict=True))
    around = tuple((padding, padding) for _, _, padding, _ in axes)
    if any(map(any, around)):
        value = t.step(make(Pad, around), value, function="unfold", on_map=True)
    split = list(input.shape[:2])
    for axis, geometry in enumerate(axes, start=2):
        taps = _places(input.shape[axis], *geometry)
        value = picked(t, value, axis, [place for tap in taps for place in tap], "unfold")
        split += (len(taps), len(taps[0]))
    batch, channels, high, rows, wide, columns = split
    apart = permute(t, reshape(t, value, tuple(split), "unfold"), (0, 1, 2, 4, 3, 5), "unfold")
    return t.track(reshape(t, apart, (batch, channels * high * wide, rows * columns), "unfold"))


def _fold(t: Trace, input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
          stride: Any = 1) -> Any:  # fmt: skip
    """``F.fold``: sums up what the windows of (N, C * taps, windows) say of each pixel of (N, C, H, W).

    Taps and windows of an axis are laid side by side. Each pixel takes as many of them as any does, blanks included.
    """
    value = t.values.get(id(input))
    if value is None or input.dim() != 3:
        return NotImplemented
    axes = list(zip(*[_tuple(one, 2) for one in (output_size, kernel_size, dilation, padding, stride)], strict=True))
    (high, rows), (wide, columns) = ((len(taps), len(taps[0])) for taps in (_places(*axis) for axis in axes))
    split = [input.shape[0], input.shape[1] // (high * wide)]
    apart = reshape(t, value, (*split, high, wide, rows, columns), "fold")
    beside = permute(t, apart, (0, 1, 2, 4, 3, 5), "fold")
    map = reshape(t, beside, (*split, high * rows, wide * columns), "fold")
    map = t.step(make(Pad, ((0, 1), (0, 1))), map, function="fold")
    for axis, (size, *geometry) in enumerate(axes, start=2):
        said = [place - geometry[2] for tap in _places(size, *geometry) for place in tap]
        takes = [[at for at, place in enumerate(said) if place == pixel] for pixel in range(size)]
        most, blank = max(len(take) for take in takes), len(said)
        map = picked(t, map, axis, [at for take in takes for at in (*take, *[blank] * (most - len(take)))], "fold")
        split += (size, most)
    return t.track(t.step(make(Reduce, "sum", (3, 5)), reshape(t, map, tuple(split), "fold"), function="fold"))


def _avg_pool1d(t: Trace, input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
                ceil_mode: bool = False, count_include_pad: bool = True) -> Any:  # fmt: skip
    """An average along a line is one along the only row of a map."""
    value = t.values.get(id(input))
    if value is None or input.dim() != 3:
        return NotImplemented
    (kernel,), (step,), (around,) = (_tuple(one, 1) for one in (kernel_size, stride or kernel_size, padding))
    map = reshape(t, value, (*input.shape[:2], 1, input.shape[2]), "avg_pool1d")
    op = make(AvgPool2d, (1, kernel), (1, step), (0, around), bool(ceil_mode), bool(count_include_pad))
    pooled = t.step(op, map, function="avg_pool1d")
    shape = t.recorder.shape(pooled)
    return t.track(reshape(t, pooled, (*shape[:2], shape[3]), "avg_pool1d"))


def _conv3d(t: Trace, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
            dilation: Any = 1, groups: int = 1) -> Any:  # fmt: skip
    """Convolution of a volume whose kernel reads one place of some axis: of maps, with that axis in the batch."""
    value = t.values.get(id(input))
    if value is None or id(weight) in t.values or id(bias) in t.values or input.dim() != 5:
        return NotImplemented
    outputs, inputs, *kernel = weight.shape
    numbers = [] if isinstance(padding, str) else [_tuple(fixed(one), 3) for one in (stride, padding, dilation)]
    flat = [axis for axis in range(3) if numbers and (kernel[axis], numbers[0][axis], numbers[1][axis]) == (1, 1, 0)]
    if not flat:
        raise OpError(f"no operator for a kernel of {' x '.join(map(str, kernel))}")
    gone, (high, wide) = flat[0] + 2, (axis for axis in range(3) if axis != flat[0])
    sizes = [(of[high], of[wide]) for of in (kernel, *numbers)]
    axes = (0, gone, 1, high + 2, wide + 2)
    before = f"{t.named('conv3d')[0]}_before"  # the name itself is for the node with the parameters
    moved = t.recorder.permute(value, axes, name=before)
    shape = t.recorder.shape(moved)
    maps = t.recorder.add(make(Reshape, (-1, *shape[2:])), moved, name=before)
    t.called |= {moved.name: "", maps.name: ""}
    op = make(Conv2d, inputs * groups, outputs, *sizes, groups, bias is not None, id(weight) not in t.buffers)
    convolved = t.values[id(t.layer(op, maps, weight, bias))]
    apart = reshape(t, convolved, (*shape[:2], *t.recorder.shape(convolved)[1:]), "conv3d")
    return t.track(permute(t, apart, tuple(axes.index(axis) for axis in range(5)), "conv3d"))


WINDOWS: Mapping[Any, Handler] = {
    Tensor.unfold: _unfold_axis,
    F.unfold: _unfold,
    F.fold: _fold,
    torch.avg_pool1d: _avg_pool1d,
    torch.conv3d: _conv3d,
}
"""The handler of every function about windows other than those of a map."""
