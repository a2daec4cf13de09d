"""How much a kernel does, in the units in which a processor spends time: what the roofline's coefficients multiply.

A blocked convolution of onnxruntime computes tiles: up to four blocks of output channels times a few neighbouring
outputs. A tile with fewer than eight sums in flight waits for the latency of the multiply-add, and outputs that touch
the padding come one by one; so the same multiply-adds take between one and four times as long, by numbers of channels
and sizes of maps. Those effects are counted here exactly, and calibration finds what each count costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from convsmith.analysis import WEIGHT_BYTES
from convsmith.deploy.kernels import Kernel
from convsmith.ir import TensorType, Window
from convsmith.ops import (
    GELU,
    AvgPool2d,
    BatchNorm2d,
    Clip,
    Conv2d,
    GlobalAvgPool,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    LayerNorm2d,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Pad,
    PReLU,
    ReLU,
    ReLU6,
    Resize,
    Sigmoid,
    SiLU,
    Softmax,
)

Work = Mapping[str, float]
"""Amounts, by the class of the kernel and the name of what they are amounts of."""

_FILTERS = 4
"""Blocks of output channels in a tile."""
_IN_FLIGHT = 8
"""Sums that must be in flight to hide a latency of four cycles from two units."""
_CHANNEL_BATCH = 128
"""Input channels that a 1x1 convolution adds up before it writes."""
_GEMM_ROWS, _GEMM_VECTORS = 6, 2
"""Rows, and vectors in a row, of a tile of a matrix product."""
_USABLE = (0.75, 0.75, 0.5)
"""Share of each cache that one thing swept again and again can keep; the last one has other users."""
_SLOW = (GELU, SiLU, Sigmoid, Softmax, HardSwish, GroupNorm, Pad)
"""Operators that do more than move bytes, each at its own price for an element."""
_POOLS = (MaxPool2d, AvgPool2d)
_QUICK = (ReLU, ReLU6, Clip, LeakyReLU, PReLU, HardSigmoid)
"""Activations that only move bytes."""
_RESIZE_AS = {"nearest-exact": "nearest", "bicubic": "bilinear"}
"""The mode whose price a mode without trials of its own takes; for ``bicubic`` that is the least it can cost."""


@dataclass(frozen=True)
class Hardware:
    """What of the processor decides how much work a kernel is.

    Attributes:
        block: Channels that onnxruntime lays side by side: the width of a vector register, or 1 if it has no blocks.
        caches: Bytes that one core has at the first, second and last level.
    """

    block: int
    caches: tuple[int, int, int]

    @property
    def tile(self) -> int:
        """Outputs in a tile; a processor with registers of 16 floats has twice as many registers."""
        return 6 if self.block == 16 else 3

    def missing(self, level: int, size: float) -> float:
        """Share of a repeated sweep over ``size`` bytes that the cache of ``level`` (0 first, 2 last) cannot serve."""
        return max(0.0, 1 - _USABLE[level] * self.caches[level] / size) if size else 0.0


def count_work(kernel: Kernel, hardware: Hardware, footprint: int) -> Work:
    """The amounts of work of a kernel, in a network whose parameters take ``footprint`` bytes.

    Classes are ``dense``, ``pointwise``, ``image`` (few input channels) and ``depthwise`` for blocked convolutions,
    ``planes`` for the others, ``linear``, ``pool``, ``move`` for all that mostly moves bytes, and the operator's own
    name where it computes more than it moves.
    """
    return _count(replace(kernel, node="", absorbed=()), hardware, footprint)


@lru_cache(maxsize=2**12)
def _count(kernel: Kernel, hardware: Hardware, footprint: int) -> Work:
    """The work of a kernel whatever node it belongs to, for the blocks of a network repeat."""
    return {
        **_of_class(*_amounts(kernel, hardware)),
        **_in_passing(kernel),
        **_memory(kernel, hardware, footprint),
    }


def _amounts(kernel: Kernel, hardware: Hardware) -> tuple[str, Work]:
    """The class of a kernel and what it does in that class's own units."""
    op = kernel.op
    if isinstance(op, Conv2d):
        if kernel.blocked:
            return conv_class(op, hardware), _blocked(kernel, op, hardware)
        return "planes", _planes(kernel, op)
    macs = 0 if op is None else op.terms(*kernel.inputs).macs
    if macs:
        return ("linear" if isinstance(op, Linear) else "planes"), {"macs": macs}
    return _sweep(kernel)


def conv_class(op: Conv2d, hardware: Hardware) -> str:
    """The class of a blocked convolution: ``dense``, ``pointwise``, ``image`` or ``depthwise``."""
    inputs = op.in_channels // op.groups
    if inputs == 1 and op.out_channels == op.groups:
        return "depthwise"
    if inputs < hardware.block:
        return "image"
    return "pointwise" if op.kernel_size == (1, 1) and op.padding == ((0, 0), (0, 0)) else "dense"


def _of_class(name: str, amounts: Mapping[str, float]) -> Work:
    return {f"{name}: {amount}": value for amount, value in {**amounts, "calls": 1.0}.items() if value}


def _in_passing(kernel: Kernel) -> Work:
    size = float(kernel.output.nbytes)
    steps = [kernel.activation] if kernel.activation not in ("", "ReLU") else []
    return {f"in passing: {step}": size for step in [*steps, *["Add"] * kernel.adds]}


@dataclass(frozen=True)
class _Row:
    """How a kernel goes along a row of outputs: whole tiles, what is left of one, and outputs that touch the padding.

    Attributes:
        tiles: Numbers of tiles by their width.
        edge_taps: Taps of the outputs that touch the padding, the padding's own left out.
    """

    tiles: Mapping[int, int]
    edge_taps: int


@lru_cache(maxsize=2**12)
def _row(window: Window, size: int, tile: int) -> _Row:
    step, outputs = int(window.stride), window.output_size(size)
    inner = (size - window.extent + window.before) // step - math.ceil(window.before / step) + 1
    inner = min(max(0, inner), outputs)
    edge_taps = window.real_taps(size) - inner * window.kernel
    return _Row(_tiles(inner, tile), edge_taps)


def _tiles(outputs: int, tile: int) -> dict[int, int]:
    whole, rest = divmod(outputs, tile)
    return {width: number for width, number in ((tile, whole), (rest, 1)) if width * number}


def _blocked(kernel: Kernel, op: Conv2d, hardware: Hardware) -> Work:
    kind = conv_class(op, hardware)
    if kind == "depthwise":
        return _depthwise(kernel, op, hardware)
    return _pointwise(kernel, op, hardware) if kind == "pointwise" else _dense(kernel, op, hardware)


def _dense(kernel: Kernel, op: Conv2d, hardware: Hardware) -> Work:
    """Row by row, for each set of filters and each block of input channels: sums go through memory between blocks."""
    (_, _, height, width), (batch, _, rows, columns) = kernel.inputs[0].shape, kernel.output.shape
    down, across = op.window(*kernel.inputs)
    row = _row(across, width, hardware.tile)
    channels = op.in_channels // op.groups
    passes = math.ceil(channels / hardware.block) if channels >= hardware.block else channels
    steps = down.real_taps(height) * passes * (hardware.block if channels >= hardware.block else 1)
    sets, repeats = _filter_sets(op, hardware), batch * op.groups
    taps = {count: number * op.kernel_size[1] for count, number in row.tiles.items()}
    swept = 4 * rows * columns * _FILTERS * hardware.block
    return {
        **_tile_work(taps, sets, repeats * steps),
        "edge": repeats * steps * row.edge_taps * len(sets),
        "edge filters": repeats * steps * row.edge_taps * sum(sets),
        "stores": repeats * passes * 4 * rows * columns * sum(sets) * hardware.block * hardware.missing(0, swept),
        "input": (len(sets) - 1) * _missed(kernel.inputs[0], hardware),
    }


def _pointwise(kernel: Kernel, op: Conv2d, hardware: Hardware) -> Work:
    """All outputs of a map in one row, unless a stride tears it apart; channels in batches."""
    batch, _, rows, columns = kernel.output.shape
    lines = 1 if op.stride == (1, 1) else rows
    channels = math.ceil(op.in_channels // op.groups / hardware.block) * hardware.block
    passes = math.ceil(channels / _CHANNEL_BATCH)
    sets, repeats = _filter_sets(op, hardware), batch * op.groups
    swept = 4 * rows * columns * _FILTERS * hardware.block
    stores = (passes - 1) * 4 * rows * columns * sum(sets) * hardware.block
    return {
        **_tile_work(_tiles(rows * columns // lines, hardware.tile), sets, repeats * lines * channels),
        "stores": repeats * stores * hardware.missing(0, swept),
        "input": (len(sets) - 1) * _missed(kernel.inputs[0], hardware, min(1.0, _CHANNEL_BATCH / channels)),
    }


def _tile_work(taps: Mapping[int, int], sets: tuple[int, ...], steps: int) -> Work:
    """Multiply-adds of whole vectors, and what they amount to where too few are in flight."""
    return {
        "vectors": float(steps * sum(taps[width] * width * filters for width in taps for filters in sets)),
        "waits": float(
            steps * sum(taps[width] * max(0, _IN_FLIGHT - width * filters) for width in taps for filters in sets)
        ),
    }


def _filter_sets(op: Conv2d, hardware: Hardware) -> tuple[int, ...]:
    """Blocks of output channels in each set of filters of a group."""
    whole, rest = divmod(math.ceil(op.out_channels // op.groups / hardware.block), _FILTERS)
    return (_FILTERS,) * whole + ((rest,) if rest else ())


def _depthwise(kernel: Kernel, op: Conv2d, hardware: Hardware) -> Work:
    (_, _, height, width), (batch, channels, rows, _) = kernel.inputs[0].shape, kernel.output.shape
    down, across = op.window(*kernel.inputs)
    row, blocks = _row(across, width, hardware.tile), batch * math.ceil(channels / hardware.block)
    taps = blocks * down.real_taps(height)
    return {
        "tiles": taps * op.kernel_size[1] * sum(row.tiles.values()),
        "vectors": taps * op.kernel_size[1] * sum(width * number for width, number in row.tiles.items()),
        "edge": taps * row.edge_taps,
        "rows": blocks * rows,
        "bytes": kernel.inputs[0].nbytes + kernel.output.nbytes,
    }


def _planes(kernel: Kernel, op: Conv2d) -> Work:
    """A matrix product for each group, after the patches were written out as columns if it is not a plain 1x1."""
    (batch, channels, *_), pixels = kernel.inputs[0].shape, math.prod(kernel.output.shape[2:])
    plain = op.kernel_size == (1, 1) and op.stride == (1, 1) and op.padding == ((0, 0), (0, 0))
    filters, columns = op.out_channels // op.groups, batch * channels * math.prod(op.kernel_size) * pixels
    rest = filters % _GEMM_ROWS
    waits = columns * max(0, _IN_FLIGHT - _GEMM_VECTORS * rest) if rest else 0
    return {
        "macs": columns * filters,
        "waits": waits,
        "columns": 0 if plain or op.stride != (1, 1) else columns,
        "torn columns": 0 if op.stride == (1, 1) else columns,
        "pack": columns,
        "groups": batch * op.groups,
    }


def _memory(kernel: Kernel, hardware: Hardware, footprint: int) -> Work:
    """Bytes that come from the last cache (near) or from memory (far).

    Those of maps by the map's own size; those of parameters by the network's, as all others come between two uses.
    They are waited for as far as there is little to multiply meanwhile: a vector's multiply-add hides a byte.
    """
    op, maps = kernel.op, (*kernel.inputs, kernel.output)
    size = _param_bytes(kernel)
    vectors = 0.0 if op is None else op.terms(*kernel.inputs).macs / hardware.block
    beyond = [size * hardware.missing(level, footprint) for level in (1, 2)]
    swept = [sum(type.nbytes * hardware.missing(level, type.nbytes) for type in maps) for level in (1, 2)]
    kind = "linear" if isinstance(op, Linear) else "weights"
    amounts = {
        f"{kind}: near": beyond[0] - beyond[1],
        f"{kind}: far": beyond[1],
        "maps: near": swept[0] - swept[1],
        "maps: far": swept[1],
    }
    return {name: size * size / (size + vectors) for name, size in amounts.items() if size}


def _param_bytes(kernel: Kernel) -> float:
    """Bytes of the parameters that are read: taps that only ever meet padding are not."""
    if kernel.op is None:
        return 0.0
    size = WEIGHT_BYTES * sum(map(math.prod, kernel.op.param_shapes(*kernel.inputs).values()))
    if not isinstance(kernel.op, Conv2d):
        return size
    windows = zip(kernel.op.window(*kernel.inputs), kernel.inputs[0].shape[2:], strict=True)
    return size * math.prod(sum(map(bool, window.tap_uses(length))) / window.kernel for window, length in windows)


def _sweep(kernel: Kernel) -> tuple[str, Work]:
    """An operator that goes over its maps once."""
    op, maps = kernel.op, (*kernel.inputs, kernel.output)
    if op is None:
        return "reorder in" if kernel.blocked else "reorder out", {"bytes": kernel.output.nbytes}
    terms = op.terms(*kernel.inputs)
    if isinstance(op, Resize):
        return f"Resize {_RESIZE_AS.get(op.mode, op.mode)}", {"elements": kernel.output.numel}
    if isinstance(op, LayerNorm2d):
        return "LayerNorm2d", {"elements": kernel.output.numel, "pixels": kernel.output.numel / op.num_channels}
    if isinstance(op, _SLOW):
        return type(op).__name__, {"elements": kernel.output.numel}
    if terms.pool:
        kind = type(op).__name__ if isinstance(op, _POOLS) else GlobalAvgPool.__name__
        return f"blocked {kind}" if kernel.blocked else kind, {"taps": terms.pool, "outputs": kernel.output.numel}
    if terms.norm and not isinstance(op, BatchNorm2d):
        return "LayerNorm2d", {"elements": terms.norm}
    if terms.activation and not isinstance(op, _QUICK):
        return "Sigmoid", {"elements": terms.activation}
    if not sum(terms.to_dict().values()) and kernel.output.nbytes == kernel.inputs[0].nbytes and kernel.output.rank < 4:
        return "view", {}
    return "move", {"bytes": sum(type.nbytes for type in maps)}


def _missed(type: TensorType, hardware: Hardware, share: float = 1.0) -> float:
    """Bytes of a map that the second cache cannot serve when ``share`` of it at a time is swept."""
    return type.nbytes * hardware.missing(1, share * type.nbytes)
