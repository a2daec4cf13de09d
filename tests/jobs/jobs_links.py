"""What is connected to what in one layer, found by loops written from the definitions alone.

A link is (output, input, weight): the numbers of an output value, of an input value and of a kernel's weight, each in
its flattened array. Values, gradients, the matrix and every count follow from the links. ``draw`` makes a random layer
and ``compare`` holds what convsmith and torch say of it against the links.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch

import convsmith
from convsmith.ops import AvgPool2d, Conv2d, ConvTranspose2d, MaxPool2d

KINDS = ("conv", "transposed", "fractional", "max", "average")
Pick = Callable[[int, int], int]
"""A whole number between two others, both included."""


def draw(pick: Pick, kind: str):
    """A random layer of a kind, larger along one axis than along the other, that fits its map."""
    return _draw_pool(pick, kind) if kind in ("max", "average") else _draw_conv(pick, kind)


def _two(pick: Pick, low: int, high: int) -> tuple[int, int]:
    return pick(low, high), pick(low, high)


def _draw_conv(pick: Pick, kind: str):
    groups, kernel, dilation, stride = pick(1, 2), _two(pick, 1, 4), _two(pick, 1, 3), _two(pick, 1, 3)
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    options: dict[str, Any] = {"groups": groups, "out_channels": groups * pick(1, 2), "dilation": dilation}
    size = list(_two(pick, 1, 6))
    if kind == "conv":
        padding = (_two(pick, 0, 3), _two(pick, 0, 3))
        size = [max(one, r + 1 - sum(sides)) for one, r, sides in zip(size, reach, padding, strict=True)]
        options |= {"padding": padding, "stride": stride}
    else:
        more = [pick(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)]
        cut = [
            pick(0, (one * s - s + r + extra) // 2) for one, s, r, extra in zip(size, stride, reach, more, strict=True)
        ]
        if kind == "transposed":
            options |= {"transpose": True, "stride": stride, "padding": cut, "output_padding": more}
        else:
            before = [r - min(c, r) for r, c in zip(reach, cut, strict=True)]
            sides = tuple((b, b + extra) for b, extra in zip(before, more, strict=True))
            options |= {"stride": [Fraction(1, s) for s in stride], "padding": sides}
            if max(stride) == 1:
                options["stride"] = (Fraction(1, 2), Fraction(1, 2))
    return convsmith.conv((groups * pick(1, 2), *size), kernel, bias=bool(pick(0, 1)), **options)


def _draw_pool(pick: Pick, kind: str):
    kernel, stride = _two(pick, 1, 4), _two(pick, 1, 4)
    dilation = _two(pick, 1, 2) if kind == "max" else (1, 1)
    padding = tuple((pick(0, k // 2), pick(0, k // 2)) for k in kernel)
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    size = [max(pick(2, 7), r + 1 - sum(p)) for r, p in zip(reach, padding, strict=True)]
    include = kind == "max" or bool(pick(0, 1))
    ceil_mode = bool(pick(0, 1))
    return convsmith.pool(
        (pick(1, 2), *size), kernel, kind=kind, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode,
        count_include_pad=include,
    )  # fmt: skip


def links(layer) -> list[tuple[int, int, int]]:
    """The links of a layer; the weight of a pool is the place in its window."""
    op, output, map = layer.op, layer.output.shape[1:], layer.input.shape[1:]
    if isinstance(op, ConvTranspose2d):
        return _stamped(op, map, output)
    found = []
    group_in = op.in_channels // op.groups if isinstance(op, Conv2d) else 1
    for out, row, column in np.ndindex(*output):
        for plane, i, j in np.ndindex(group_in, *op.kernel_size):
            spread = getattr(op, "dilation", (1, 1))
            y = row * op.stride[0] + i * spread[0] - op.padding[0][0]
            x = column * op.stride[1] + j * spread[1] - op.padding[1][0]
            if isinstance(op, Conv2d):
                channel = out // (op.out_channels // op.groups) * group_in + plane
                weight = ((out * group_in + plane) * op.kernel_size[0] + i) * op.kernel_size[1] + j
            else:
                channel, weight = out, i * op.kernel_size[1] + j
            if 0 <= y < map[1] and 0 <= x < map[2]:
                found.append((_flat((out, row, column), output), _flat((channel, y, x), map), weight))
    return found


def _stamped(op: ConvTranspose2d, map, output) -> list[tuple[int, int, int]]:
    """Every pixel puts its copy of the kernel onto the output."""
    found = []
    group_in, group_out = op.in_channels // op.groups, op.out_channels // op.groups
    for channel, row, column in np.ndindex(*map):
        for plane, i, j in np.ndindex(group_out, *op.kernel_size):
            y = row * op.stride[0] + i * op.dilation[0] - op.padding[0]
            x = column * op.stride[1] + j * op.dilation[1] - op.padding[1]
            if 0 <= y < output[1] and 0 <= x < output[2]:
                out = channel // group_in * group_out + plane
                weight = ((channel * group_out + plane) * op.kernel_size[0] + i) * op.kernel_size[1] + j
                found.append((_flat((out, y, x), output), _flat((channel, row, column), map), weight))
    return found


def _flat(place, shape) -> int:
    return (place[0] * shape[1] + place[1]) * shape[2] + place[2]


def compare(layer, seed: int) -> float:
    """The largest difference of values and gradients between the links, C and torch in float64.

    Raises:
        AssertionError: If shapes, links, counts or dropped pixels differ.
    """
    random = np.random.default_rng(seed)
    weights = {name: random.standard_normal(shape) for name, shape in layer.op.param_shapes(layer.input).items()}
    map, sought = random.standard_normal(layer.input.shape), random.standard_normal(layer.output.shape)
    values, by_input, by_weight = _torch(layer.op, map, sought, weights)
    assert layer.output.shape == values.shape
    found = links(layer)
    assert layer.connections == len(found)
    read = {pixel for _, pixel, _ in found}
    _check_dropped(layer, read)
    if isinstance(layer.op, MaxPool2d):
        return _compare_max(found, map, sought, values, by_input)
    amounts = weights["weight"].ravel() if weights else _means(layer.op, layer, found)
    matrix = layer.matrix
    own = sorted(zip(matrix.rows.tolist(), matrix.columns.tolist(), matrix.weights.tolist(), strict=True))
    if weights:
        assert own == sorted(found)
        assert layer.real_macs == len(found)
        entries = weights["weight"].ravel()[matrix.weights]
    else:
        assert [one[:2] for one in own] == sorted(one[:2] for one in found)
        entries = np.array(matrix.values)[matrix.weights]
    expected, back, shared = _summed(found, amounts, map, sought, weights)
    product = np.zeros(values.size)
    np.add.at(product, matrix.rows, entries * map.ravel()[matrix.columns])
    turned = np.zeros(map.size)
    np.add.at(turned, matrix.columns, entries * sought.ravel()[matrix.rows])
    bias = weights["bias"][:, None, None] if "bias" in weights else 0.0
    gaps = [
        expected.reshape(values.shape) + bias - values,
        product.reshape(values.shape) + bias - values,
        back.reshape(map.shape) - by_input,
        turned.reshape(map.shape) - by_input,
    ]
    if by_weight is not None:
        gaps.append(shared.reshape(by_weight.shape) - by_weight)
    return max(float(np.abs(gap).max(initial=0)) for gap in gaps)


def _summed(found, amounts, map, sought, weights):
    """Values, gradient by the input and gradient by the weights, a link at a time."""
    pixels, asked, sums = map.ravel().tolist(), sought.ravel().tolist(), amounts.tolist()
    values, back = [0.0] * len(asked), [0.0] * len(pixels)
    shared = [0.0] * (weights["weight"].size if weights else 0)
    for number, (out, pixel, weight) in enumerate(found):
        amount = sums[weight] if weights else sums[number]
        values[out] += amount * pixels[pixel]
        back[pixel] += amount * asked[out]
        if weights:
            shared[weight] += asked[out] * pixels[pixel]
    return np.array(values), np.array(back), np.array(shared)


def _means(op: AvgPool2d, layer, found) -> np.ndarray:
    """One divided by what each link's window holds: pixels, or the places of the padded map too."""
    output, map = layer.output.shape[1:], layer.input.shape[1:]
    pixels = np.bincount([out for out, _, _ in found], minlength=layer.output.numel)
    counts = []
    for out, _, _ in found:
        at = np.unravel_index(out, output)[1:]
        places = 1
        for axis in (0, 1):
            start = int(at[axis]) * op.stride[axis] - op.padding[axis][0]
            places *= min(start + op.kernel_size[axis], map[1 + axis] + op.padding[axis][1]) - start
        counts.append(places if op.count_include_pad else pixels[out])
    return 1 / np.array(counts, dtype=float)


def _compare_max(found, map, sought, values, by_input) -> float:
    best: dict[int, int] = {}
    pixels = map.ravel()
    for out, pixel, _ in found:
        if out not in best or pixels[pixel] > pixels[best[out]]:
            best[out] = pixel
    back = np.zeros(map.size)
    for out, pixel in best.items():
        back[pixel] += sought.ravel()[out]
    seen = np.array([out in best for out in range(values.size)])
    expected = np.array([pixels[best[out]] for out in np.flatnonzero(seen)])
    assert np.isneginf(values.ravel()[~seen]).all()
    gaps = (expected - values.ravel()[seen], back - by_input.ravel())
    return max(float(np.abs(gap).max(initial=0)) for gap in gaps)


def _check_dropped(layer, read: set[int]) -> None:
    """A row is dropped if no output reads it through any column, and a column likewise."""
    if not read:
        return  # one axis meets padding alone: the other then reads nothing either, whatever its windows cover
    _, height, width = layer.input.shape[1:]
    rows, columns = {pixel // width % height for pixel in read}, {pixel % width for pixel in read}
    assert layer.dropped[0] == tuple(row for row in range(height) if row not in rows)
    assert layer.dropped[1] == tuple(column for column in range(width) if column not in columns)


def _torch(op, map, sought, weights):
    module = op.to_torch().double()
    module.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    image = torch.from_numpy(map).requires_grad_()
    output = module(image)
    finite = torch.where(output.isfinite(), output, 0.0)
    (finite * torch.from_numpy(sought)).sum().backward()
    by_weight = module.weight.grad.numpy() if weights else None
    return output.detach().numpy(), image.grad.numpy(), by_weight
