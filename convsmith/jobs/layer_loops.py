"""A layer computed as it is defined, one multiply-add after the other: nothing here asks an operator how.

Maps are nested lists: map[channel][row][column].
"""

from __future__ import annotations

from typing import Any

from convsmith.ops import AvgPool2d, Conv2d, ConvTranspose2d, GlobalAvgPool, GlobalMaxPool, MaxPool2d

Map = list[list[list[float]]]


def slide(op: Conv2d, map: Map, kernel: Any, bias: Any) -> Map:
    """Convolution: every kernel slides over the map, multiplies and adds; what lies outside the map is zero."""
    height, width = len(map[0]), len(map[0][0])
    (top, bottom), (left, right) = op.padding
    down, across = op.stride
    rows = range(-top, height + bottom - op.dilation[0] * (op.kernel_size[0] - 1), down)
    columns = range(-left, width + right - op.dilation[1] * (op.kernel_size[1] - 1), across)
    seen, made = op.in_channels // op.groups, op.out_channels // op.groups
    return [
        [
            [
                bias[out] + _dot(op, map[out // made * seen : (out // made + 1) * seen], kernel[out], row, column)
                for column in columns
            ]
            for row in rows
        ]
        for out in range(op.out_channels)
    ]


def _dot(op: Conv2d, maps: Map, kernel: Any, row: int, column: int) -> float:
    """One window: the kernel with its corner at a pixel."""
    total = 0.0
    for map, weights in zip(maps, kernel, strict=True):
        for i, line in enumerate(weights):
            y = row + i * op.dilation[0]
            if not 0 <= y < len(map):
                continue
            for j, weight in enumerate(line):
                x = column + j * op.dilation[1]
                if 0 <= x < len(map[y]):
                    total += weight * map[y][x]
    return total


def stamp(op: ConvTranspose2d, map: Map, kernel: Any, bias: Any) -> Map:
    """Transposed convolution: every pixel stamps its copy of the kernel onto the output, where copies add up."""
    size = [
        (length - 1) * op.stride[axis] + op.dilation[axis] * (op.kernel_size[axis] - 1) + 1
        - 2 * op.padding[axis] + op.output_padding[axis]
        for axis, length in enumerate((len(map[0]), len(map[0][0])))
    ]  # fmt: skip
    output = [[[float(bias[out])] * size[1] for _ in range(size[0])] for out in range(op.out_channels)]
    group_in, group_out = op.in_channels // op.groups, op.out_channels // op.groups
    for channel, plane in enumerate(map):
        for out, weights in enumerate(kernel[channel]):
            onto = output[channel // group_in * group_out + out]
            for row, line in enumerate(plane):
                for column, pixel in enumerate(line):
                    _stamp(op, onto, weights, pixel, (row, column))
    return output


def _stamp(op: ConvTranspose2d, onto: list[list[float]], weights: Any, pixel: float, place: tuple[int, int]) -> None:
    for i, line in enumerate(weights):
        y = place[0] * op.stride[0] + i * op.dilation[0] - op.padding[0]
        if not 0 <= y < len(onto):
            continue
        for j, weight in enumerate(line):
            x = place[1] * op.stride[1] + j * op.dilation[1] - op.padding[1]
            if 0 <= x < len(onto[y]):
                onto[y][x] += weight * pixel


def pool_map(op: MaxPool2d | AvgPool2d | GlobalAvgPool | GlobalMaxPool, map: Map) -> Map:
    """Pooling: the largest or the mean of the pixels in every window."""
    if isinstance(op, GlobalAvgPool | GlobalMaxPool):
        flat = [[pixel for line in plane for pixel in line] for plane in map]
        return [[[max(one) if isinstance(op, GlobalMaxPool) else sum(one) / len(one)]] for one in flat]
    rows, columns = (_places(op, axis, length) for axis, length in enumerate((len(map[0]), len(map[0][0]))))
    return [[[_pooled(op, plane, high, wide) for wide in columns] for high in rows] for plane in map]


def _places(op: MaxPool2d | AvgPool2d, axis: int, length: int) -> list[tuple[list[int], int]]:
    """For every window along an axis, the pixels in it, and its places that lie on the map or its padding."""
    (before, after), step = op.padding[axis], op.stride[axis]
    spread = op.dilation[axis] if isinstance(op, MaxPool2d) else 1
    reach, end = spread * (op.kernel_size[axis] - 1), length + after
    starts = list(range(-before, end - reach, step))
    late = starts[-1] + step if starts else -before
    if op.ceil_mode and late < length and late - step + reach < end - 1:
        starts.append(late)
    windows = [[start + tap * spread for tap in range(op.kernel_size[axis])] for start in starts]
    return [([p for p in places if 0 <= p < length], sum(p < end for p in places)) for places in windows]


def _pooled(
    op: MaxPool2d | AvgPool2d, plane: list[list[float]], rows: tuple[list[int], int], columns: tuple[list[int], int]
) -> float:
    pixels = [plane[y][x] for y in rows[0] for x in columns[0]]
    if isinstance(op, MaxPool2d):
        return max(pixels, default=float("-inf"))
    return sum(pixels) / (rows[1] * columns[1] if op.count_include_pad else len(pixels))
