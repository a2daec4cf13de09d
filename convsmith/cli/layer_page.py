"""``conv`` and ``pool`` as text: what both say of a layer, as notes and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, cast

from convsmith.cli.page import Block, Note, Table, make_table
from convsmith.jobs.layer import Layer
from convsmith.ops import AvgPool2d, Conv2d, ConvTranspose2d, MaxPool2d
from convsmith.quantities import format_percent, format_shape

if TYPE_CHECKING:
    from convsmith.jobs.layer_check import Check  # torch, which only a check needs

_MOST_WINDOWS = 12
_MOST_COUNTS = 16
_MOST_RUNS = 40


def blocks(layer: Layer) -> Iterator[Block]:
    """Everything about a layer but its matrix."""
    yield Note((title(layer),), style="title")
    yield Note(tuple(_size(layer)), "size")
    yield Note(tuple(_dropped(layer)), "dropped")
    yield _numbers(layer)
    yield Note(tuple(_sharing(layer)), "sharing")
    yield Note((_field(layer),), "receptive field")
    if layer.overlap is not None:
        yield Note(tuple(_overlap(layer)), "overlap")
    yield from _windows(layer)


def check_blocks(check: Check) -> Iterator[Block]:
    """What a check found."""
    rows = [
        (way, what, f"{difference:.1e}") for what, ways in check.differences.items() for way, difference in ways.items()
    ]
    yield make_table(("against torch, float64", "of", "largest difference"), rows, left=2)
    yield Note((f"largest difference {check.largest:.1e}",))


def spans(places: Sequence[int]) -> str:
    """``(0, 1, 2, 5)`` is ``0-2, 5``, and ``(1, 3, 5, 7, 9)`` is ``1, 3, ..., 9``."""
    steps = {later - earlier for earlier, later in pairwise(places)}
    if len(places) > 4 and len(steps) == 1 and steps != {1}:
        return f"{places[0]}, {places[1]}, ..., {places[-1]}"
    runs: list[list[int]] = []
    for place in places:
        if runs and place == runs[-1][1] + 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    shown = ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs[:_MOST_RUNS])
    return shown if len(runs) <= _MOST_RUNS else f"{shown}, ... ({len(places):,} in all, --json lists them)"


def _many(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def title(layer: Layer) -> str:
    """A layer in one line."""
    before, after = (format_shape(type.shape[1:]) for type in (layer.input, layer.output))
    return f"{before} -> {after} ({layer.output.numel:,} values): {type(layer.op).__name__}{_settings(layer)}"


def _settings(layer: Layer) -> str:
    """The settings that differ from their defaults, as the operator has them."""
    left_out = ("in_channels", "out_channels", "bias")
    said = [f"{name} {_short(value)}" for name, value in layer.op.attrs().items() if name not in left_out]
    return "".join(f", {one}" for one in said)


def _short(value: object) -> str:
    """As options take it: ``((1, 1), (1, 1))`` is ``1``, ``(3, 2)`` is ``3x2``, ``((0, 1), (0, 0))`` is ``0,1,0,0``."""
    if not isinstance(value, tuple):
        return str(value)
    parts = cast("tuple[object, ...]", value)
    if len(set(parts)) == 1 and not (isinstance(parts[0], tuple) and len(set(cast("Any", parts[0]))) > 1):
        return _short(parts[0])
    sides = all(isinstance(part, tuple) and len(set(cast("Any", part))) == 1 for part in parts)
    if sides or not isinstance(parts[0], tuple):
        return "x".join(map(_short, parts))
    return ",".join(str(number) for part in parts for number in cast("Any", part))


def _size(layer: Layer) -> Iterator[str]:
    enlarged = any(window.stride.denominator > 1 for window in layer.windows)
    spread = any(window.dilation > 1 for window in layer.windows)
    extent = ", where k is d × (kernel − 1) + 1 with dilation d" if spread else ""
    if enlarged:
        yield f"o = ⌊((i − 1) × n + 1 + p + p − k) / 1⌋ + 1 with stride 1/n, n − 1 blanks between pixels{extent}"
    else:
        yield f"o = ⌊(i + p + p − k) / s⌋ + 1{extent}"
    high, wide = layer.formulas
    yield from ([f"{high} rows and columns"] if high == wide else [f"{high} rows", f"{wide} columns"])
    if isinstance(layer.op, ConvTranspose2d):
        yield from _transposed(layer, layer.op)
    if isinstance(layer.op, MaxPool2d | AvgPool2d) and layer.op.ceil_mode:
        past = [window.after - side for window, (_, side) in zip(layer.windows, layer.op.padding, strict=True)]
        reach = f"{_many(past[0], 'row')} and {_many(past[1], 'column')}"
        yield f"rounded up: the last windows reach {reach} past the padding, which never count"


def _transposed(layer: Layer, op: ConvTranspose2d) -> Iterator[str]:
    margins = tuple(window.before for window in layer.windows)
    yield f"p before the map is d × (kernel − 1) − padding = {_short(margins)}; after it, the output padding more"
    if min(margins) >= 0 and max(op.stride) > 1:
        stride = "x".join(f"1/{n}" if n > 1 else "1" for n in dict.fromkeys(op.stride))
        more = f" --output-padding {_short(op.output_padding)}" if any(op.output_padding) else ""
        fractional = f"--stride {stride} --padding {_short(margins)}{more}"
        yield f"the same as `{fractional}`: blanks, then a window that slides by one"
    matching = layer.matching
    assert matching is not None
    assert isinstance(matching.op, Conv2d)
    left_out = ("in_channels", "kernel_size", "bias")
    options = "".join(
        f" --{name.replace('_', '-')} {_short(value)}"
        for name, value in matching.op.attrs().items()
        if name not in left_out and not (name == "out_channels" and value == matching.op.groups)
    )
    command = f"conv --input {format_shape(matching.input.shape[1:])} --kernel {_short(op.kernel_size)}{options}"
    yield f"its C is that of `{command}`, transposed"


def _dropped(layer: Layer) -> Iterator[str]:
    rows, columns = layer.dropped
    sizes = layer.input.shape[2:]
    for name, places, size in (("row", rows, sizes[0]), ("column", columns, sizes[1])):
        if places:
            verb = "is" if len(places) == 1 else "are"
            yield f"{name}{'s' if len(places) > 1 else ''} {spans(places)} of 0-{size - 1} {verb} read by no window"
    if not rows and not columns:
        yield "nothing: every pixel is read"
    for name, places in zip(("row", "column"), layer.unreached, strict=True):
        if places:
            verb = "is" if places == 1 else "are"
            yield f"{_many(places, name)} of the padding after the map {verb} not reached either"


def _numbers(layer: Layer) -> Table:
    dense, terms = layer.dense, layer.terms
    rows = [
        ("parameters", f"{layer.params:,}", f"{dense.params:,}"),
        ("connections", f"{layer.connections:,}", f"{dense.connections:,}"),
    ]
    if terms.taps:
        rows.append(("multiply-adds", f"{terms.macs:,}", f"{dense.connections:,}"))
        rows.append(("  without those with padding", f"{layer.real_macs:,}", ""))
        if layer.blank_macs is not None:
            rows.append(("  done as zero insertion, with blanks", f"{layer.blank_macs:,}", ""))
    else:
        rows.append(("pixels pooled", f"{terms.pool:,}", ""))
        rows.append(("  without those of the padding", f"{layer.connections:,}", ""))
    return make_table(("", "this layer", "fully connected"), rows)


def _sharing(layer: Layer) -> Iterator[str]:
    possible = layer.dense.connections
    share = layer.connections / possible
    percent = format_percent(share, 1 if share > 0.001 else 4)
    yield f"sparse: {layer.connections:,} of {possible:,} possible connections, {percent}"
    weights = prod(layer.op.param_shapes(layer.input).get("weight", (0,)))
    if weights:
        each = layer.connections / weights
        yield f"shared: {_many(weights, 'weight')}, each in {each:,.4g} connections on average"
    else:
        yield "no parameters"


def _field(layer: Layer) -> str:
    field = layer.field
    if field.whole:
        return "an output sees the whole map"
    sees, (down, right) = format_shape(field.size), field.jump
    center = ", ".join(str(axis.center) for axis in (field.height, field.width))
    apart = str(down) if down == right else f"{down} down, {right} across"
    return f"an output sees {sees} pixels; neighbours lie {apart} apart; the first is centred on ({center})"


def _overlap(layer: Layer) -> Iterator[str]:
    assert layer.overlap is not None
    for name, axis in zip(("rows", "columns"), layer.overlap, strict=True):
        shown = " ".join(map(str, axis.counts[:_MOST_COUNTS]))
        more = " ..." if len(axis.counts) > _MOST_COUNTS else ""
        far = f"{axis.period[0]} each" if axis.even else f"{' '.join(map(str, axis.period))} in turn"
        yield f"{name} are written {shown}{more} times; far from the edges {far}"
    if all(axis.even for axis in layer.overlap):
        yield "even: no checkerboard"
    else:
        yield "uneven: a checkerboard; a kernel that is a multiple of the stride is even"


def _windows(layer: Layer) -> Iterator[Block]:
    """The first windows, numbered row by row."""
    down, across = layer.output.shape[2:]
    count = down * across
    rows: list[tuple[str, ...]] = []
    for number in range(min(count, _MOST_WINDOWS)):
        at = divmod(number, across)
        read = [
            spans([pixel for _, pixel in window.reads(place, size)]) or "padding"
            for window, place, size in zip(layer.windows, at, layer.input.shape[2:], strict=True)
        ]
        rows.append((f"{number}", f"({at[0]}, {at[1]})", *read))
    yield make_table(("window", "output", "reads rows", "reads columns"), rows, left=4)
    if count > _MOST_WINDOWS:
        yield Note((f"{count:,} windows, numbered row by row; --step walks them",))
