"""Sparse matrices of linear operators, put together from what each window reads along each axis."""

# scipy ships no types.
# pyright: basic

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from convsmith.ir import TensorType, Window


def axis_taps(window: Window, size: int) -> tuple[Any, Any, Any]:
    """Every ``(output, tap, pixel)`` that falls on a real pixel, as three integer arrays."""
    triples = [
        (output, tap, pixel) for output in range(window.output_size(size)) for tap, pixel in window.reads(output, size)
    ]
    outputs, taps, pixels = np.array(triples, dtype=np.int64).reshape(-1, 3).T
    return outputs, taps, pixels


def conv_matrix(type: TensorType, windows: tuple[Window, Window], weight: Any, groups: int) -> Any:
    """Matrix of a correlation with ``weight`` (out, in / groups, kh, kw) on a flattened ``type``; CSR, zeros kept."""
    batch, channels, height, width = type.shape
    out_channels, group_in = weight.shape[:2]
    rows, row_taps, row_pixels = axis_taps(windows[0], height)
    columns, column_taps, column_pixels = axis_taps(windows[1], width)
    out_height, out_width = windows[0].output_size(height), windows[1].output_size(width)
    positions = (rows[:, None] * out_width + columns).ravel()
    pixels = (row_pixels[:, None] * width + column_pixels).ravel()
    values = weight[:, :, row_taps[:, None], column_taps].reshape(out_channels, group_in, -1)
    out = np.arange(out_channels)[:, None, None]
    read = (out // (out_channels // groups)) * group_in + np.arange(group_in)[None, :, None]
    shape = values.shape
    row = np.broadcast_to(out * (out_height * out_width) + positions, shape).ravel()
    column = np.broadcast_to(read * (height * width) + pixels, shape).ravel()
    size = (out_channels * out_height * out_width, channels * height * width)
    return per_image(sp.csr_array((values.ravel(), (row, column)), shape=size), batch)


def separable_matrix(type: TensorType, rows: Any, columns: Any) -> Any:
    """Matrix of the map ``rows @ x @ columns.T`` applied to every channel of ``type``."""
    return per_image(sp.kron(rows, columns, format="csr"), type.shape[0] * type.shape[1])


def channel_scale(type: TensorType, scale: Any) -> Any:
    """Diagonal matrix that multiplies each channel by its own number."""
    pixels = type.numel // (type.shape[0] * type.shape[1])
    return per_image(sp.diags_array(np.repeat(scale, pixels), format="csr"), type.shape[0])


def identity(type: TensorType) -> Any:
    """The matrix that changes nothing."""
    return sp.eye_array(type.numel, format="csr")


def selection(type: TensorType, pick: Callable[[Any], Any]) -> Any:
    """The matrix of an operator that moves, repeats or leaves out elements, from what ``pick`` does to an array."""
    read = pick(np.arange(type.numel).reshape(type.shape)).ravel()
    return sp.csr_array((np.ones(read.size), (np.arange(read.size), read)), shape=(read.size, type.numel))


def sums(outputs: Any) -> Any:
    """The matrix that adds every element of an array to the output whose number stands in its place."""
    to = np.ravel(outputs)
    return sp.csr_array((np.ones(to.size), (to, np.arange(to.size))), shape=(to.max() + 1, to.size))


def along_axis(type: TensorType, axis: int, matrix: Any) -> Any:
    """The same matrix applied along one axis of ``type``, for every place on the others."""
    before, after = math.prod(type.shape[:axis]), math.prod(type.shape[axis + 1 :])
    return per_image(sp.kron(matrix, sp.eye_array(after)), before)


def per_image(matrix: Any, count: int) -> Any:
    """The same matrix for each of ``count`` images or channels."""
    if count == 1:
        return sp.csr_array(matrix)
    return sp.csr_array(sp.kron(sp.eye_array(count), matrix, format="csr"))
