"""How operators that change the size of a map are written as ONNX: pooling, padding, interpolation.

Where ONNX or a runtime rounds sizes or coordinates its own way (ceil_mode, nearest resize), the exact sizes and indices
are worked out here and written down instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.interop.onnx_draft import Writing
from convsmith.ir import Window
from convsmith.ops import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d, Pad, PixelUnshuffle, Resize
from convsmith.ops.resample import PAD_MODES, nearest_pixels


def max_pool(call: Writing, op: MaxPool2d) -> str:
    """MaxPool."""
    value, pads = call.inputs[0], _reach(op.padding, op.window(*call.types))
    if any(pad >= op.kernel_size[axis % 2] for axis, pad in enumerate(pads)):  # runtimes refuse that much
        value, pads = _padded(call, pads, -np.inf), (0, 0, 0, 0)
    return call.add("MaxPool", value, kernel_shape=op.kernel_size, strides=op.stride, pads=pads, dilations=op.dilation)


def avg_pool(call: Writing, op: AvgPool2d) -> str:
    """AveragePool."""
    value, pads, count = call.inputs[0], _reach(op.padding, op.window(*call.types)), op.count_include_pad
    (top, bottom), (left, right) = op.padding
    if count and pads != (top, left, bottom, right):  # padding counts, what ceil_mode reaches past it does not
        value, count = _padded(call, (top, left, bottom, right), 0), False
        pads = (0, 0, pads[2] - bottom, pads[3] - right)
    return call.add(
        "AveragePool",
        value,
        kernel_shape=op.kernel_size,
        strides=op.stride,
        pads=pads,
        count_include_pad=int(count),
    )


def _reach(padding: tuple[tuple[int, int], ...], windows: tuple[Window, Window]) -> tuple[int, int, int, int]:
    """Pads (top, left, bottom, right) with which rounding down gives the size that ceil_mode gives."""
    (top, bottom), (left, right) = padding
    return top, left, max(bottom, windows[0].after), max(right, windows[1].after)


def _padded(call: Writing, pads: tuple[int, int, int, int], value: float) -> str:
    sizes = call.ints("pads", 0, 0, *pads[:2], 0, 0, *pads[2:])
    return call.step("padded", "Pad", call.inputs[0], sizes, call.constant("blank", value, np.float32))


def adaptive_avg_pool(call: Writing, op: AdaptiveAvgPool2d) -> str:
    """Windows of one size are an AveragePool; others, a matrix of means from either side."""
    if op.output_size == (1, 1):
        return call.add("GlobalAveragePool", *call.inputs)
    size = call.types[0].shape[2:]
    if all(pixels % outputs == 0 for pixels, outputs in zip(size, op.output_size, strict=True)):
        kernel = [pixels // outputs for pixels, outputs in zip(size, op.output_size, strict=True)]
        return call.add("AveragePool", *call.inputs, kernel_shape=kernel, strides=kernel)
    rows, columns = (
        np.array([np.isin(np.arange(pixels), read) / len(read) for read in _windows(pixels, outputs)])
        for pixels, outputs in zip(size, op.output_size, strict=True)
    )
    down = call.step("rows", "MatMul", call.constant("rows.means", rows, np.float32), *call.inputs)
    return call.add("MatMul", down, call.constant("columns.means", columns.T, np.float32))


def adaptive_max_pool(call: Writing, op: AdaptiveMaxPool2d) -> str:
    """Windows of one size are a MaxPool; others, too, once each has been filled up with its own last pixels."""
    if op.output_size == (1, 1):
        return call.add("GlobalMaxPool", *call.inputs)
    value, kernel = call.inputs[0], list[int]()
    for axis, outputs in enumerate(op.output_size, start=2):
        windows = _windows(call.types[0].shape[axis], outputs)
        length = max(map(len, windows))
        pixels = [window[min(place, len(window) - 1)] for window in windows for place in range(length)]
        if pixels != list(range(call.types[0].shape[axis])):
            value = call.step(f"axis{axis}", "Gather", value, call.ints(f"axis{axis}.pixels", *pixels), axis=axis)
        kernel.append(length)
    return call.add("MaxPool", value, kernel_shape=kernel, strides=kernel)


def _windows(size: int, outputs: int) -> list[range]:
    """What each output of an adaptive pool reads along an axis."""
    return [range(place * size // outputs, -(-(place + 1) * size // outputs)) for place in range(outputs)]


def pad(call: Writing, op: Pad) -> str:
    """Pad."""
    (top, bottom), (left, right) = op.padding
    sizes = call.ints("pads", 0, 0, top, left, 0, 0, bottom, right)
    blank = [call.constant("blank", op.value, np.float32)] if op.value else []
    return call.add("Pad", *call.inputs, sizes, *blank, mode=PAD_MODES[op.mode])


def resize(call: Writing, op: Resize) -> str:
    """Resize, or rows and columns by number where runtimes round coordinates differently."""
    if op.mode.startswith("nearest"):
        return _nearest(call, op)
    options: dict[str, Any] = {"mode": "linear"} if op.mode == "bilinear" else {"mode": "cubic", "cubic_coeff_a": -0.75}
    mode = "align_corners" if op.align_corners else "half_pixel"
    return _interpolate(call, op, coordinate_transformation_mode=mode, **options)


def _nearest(call: Writing, op: Resize) -> str:
    """Enlarging by whole factors is Resize; otherwise pixels are gathered."""
    sizes = call.types[0].shape[2:]
    rows, columns = (nearest_pixels(op.mode, size, outputs) for size, outputs in zip(sizes, op.size, strict=True))
    if all(_repeats(pixels, size) for pixels, size in ((rows, sizes[0]), (columns, sizes[1]))):
        return _interpolate(call, op, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    picked = call.step("picked", "Gather", *call.inputs, call.constant("rows", rows, np.int64), axis=2)
    return call.add("Gather", picked, call.constant("columns", columns, np.int64), axis=3)


def _repeats(pixels: NDArray[np.int64], size: int) -> bool:
    """Whether every pixel is taken the same number of times, in order."""
    return np.array_equal(pixels, np.repeat(np.arange(size), len(pixels) // size))


def _interpolate(call: Writing, op: Resize, **attributes: Any) -> str:
    sizes = call.ints("size", *op.size)
    return call.add("Resize", *call.inputs, "", "", sizes, axes=(2, 3), **attributes)


def pixel_unshuffle(call: Writing, op: PixelUnshuffle) -> str:
    """SpaceToDepth, whose channels come in another order."""
    apart = call.step("apart", "SpaceToDepth", *call.inputs, blocksize=op.factor)
    order = np.arange(call.types[0].shape[1] * op.factor**2).reshape(op.factor**2, -1).T.reshape(-1)
    return call.add("Gather", apart, call.constant("order", order, np.int64), axis=1)
