"""``--step``: the window walks over the map, one output at a time, with the products that it adds up."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import typer

from convsmith.cli.app import print_text
from convsmith.cli.layer_matrix import Line, print_lines
from convsmith.cli.layer_page import spans
from convsmith.cli.page import Span
from convsmith.ir import Window
from convsmith.jobs.layer import Layer
from convsmith.ops import AvgPool2d, Conv2d, ConvTranspose2d, GlobalAvgPool
from convsmith.report.weight_colors import weight_color

MOST_STEPS: Final = 64
"""Windows that are printed where nobody presses a key."""
_MOST_PLACES: Final = 40
_MOST_PRODUCTS: Final = 25


@dataclass(frozen=True)
class _Place:
    """A place of the line that the window slides over: its pixel, or None for padding and blanks."""

    pixel: int | None
    tap: int | None


def walk(layer: Layer) -> None:
    """Show window after window: on a key in a terminal, else all of the first ones."""
    watched = sys.stdin.isatty() and sys.stdout.isatty()
    down, across = layer.output.shape[2:]
    for number in range(down * across):
        if not watched and number == MOST_STEPS:
            print_text(f"\n{down * across - MOST_STEPS:,} windows more are walked in a terminal")
            return
        print_lines(frame(layer, number))
        if watched and number + 1 < down * across:
            print_lines(iter(((("any key: next window, q: stop", "dim"),),)))
            if typer.getchar() in "qQ\x03\x04\x1b":
                return


def frame(layer: Layer, number: int) -> Iterator[Line]:
    """One window: where it lies on the map, and what its output is."""
    down, across = layer.output.shape[2:]
    at, sizes = divmod(number, across), layer.input.shape[2:]
    reads = [dict(window.reads(place, size)) for window, place, size in zip(layer.windows, at, sizes, strict=True)]
    rows, columns = (spans(list(read.values())) or "no pixel" for read in reads)
    yield ()
    where = f"output y{number} at ({at[0]}, {at[1]}) reads rows {rows}, columns {columns}"
    yield ((f"window {number} of 0-{down * across - 1}: {where}", "bold"),)
    lines = [_line(window, place, size) for window, place, size in zip(layer.windows, at, sizes, strict=True)]
    numbers = _weights(layer)
    if max(map(len, lines)) <= _MOST_PLACES:
        yield from _map(lines[0], lines[1], numbers, sizes[1])
    yield ((f"y{number} = {_sum(layer, reads, numbers)}", ""),)


def _line(window: Window, output: int, size: int) -> list[_Place]:
    """Every place of the line, padding and blanks included, with the tap that lies on it."""
    step, blanks = window.stride.numerator, window.stride.denominator
    start = output * step - window.before
    taps = {start + tap * window.dilation: tap for tap in range(window.kernel)}
    end = (size - 1) * blanks + 1 + window.after
    pixels = {pixel * blanks: pixel for pixel in range(size)}
    return [_Place(pixels.get(place), taps.get(place)) for place in range(-window.before, end)]


def _weights(layer: Layer) -> Any | None:
    """The numbers of the weights of the first kernel's first plane as it slides; None where nothing is learned."""
    op, shape = layer.op, layer.op.param_shapes(layer.input).get("weight")
    if shape is None:
        return None
    numbered = np.arange(np.prod(shape)).reshape(shape)
    return (op.sliding_kernel(numbered) if isinstance(op, ConvTranspose2d) else numbered)[0, 0]


def _map(rows: list[_Place], columns: list[_Place], numbers: Any | None, width: int) -> Iterator[Line]:
    """The map as characters: pixels by number, in brackets what the window lies on, padding and blanks as dots."""
    cell = len(str(max(row.pixel or 0 for row in rows) * width + width - 1))
    for row in rows:
        line: list[Span] = []
        for column in columns:
            inside = row.tap is not None and column.tap is not None
            real = row.pixel is not None and column.pixel is not None
            text = str(row.pixel * width + column.pixel) if real else "."  # type: ignore[operator]  # both are numbers
            style = _style(row.tap, column.tap, numbers) if inside else "" if real else "dim"
            line.append((f"[{text.rjust(cell)}]" if inside else f" {text.rjust(cell)} ", style))
        yield line


def _style(row: int | None, column: int | None, numbers: Any | None) -> str:
    if numbers is None:
        return "reverse"
    flat = numbers.ravel().tolist()
    return f"#000000 on {weight_color(int(numbers[row, column]) - min(flat), len(flat))}"


def _sum(layer: Layer, reads: list[dict[int, int]], numbers: Any | None) -> str:
    """The products of a window, with the numbers of the weights and of the pixels of the first channel."""
    width = layer.input.shape[3]
    places = [(i, j, y * width + x) for i, y in reads[0].items() for j, x in reads[1].items()]
    more = f" ... ({len(places):,} in all)" if len(places) > _MOST_PRODUCTS else ""
    shown = places[:_MOST_PRODUCTS]
    if numbers is None:
        mean = isinstance(layer.op, AvgPool2d | GlobalAvgPool)
        return f"{'mean' if mean else 'max'}({', '.join(f'x{pixel}' for _, _, pixel in shown)}{more})"
    products = " + ".join(f"w{numbers[i, j]}·x{pixel}" for i, j, pixel in shown) or "0"
    op = layer.op
    assert isinstance(op, Conv2d | ConvTranspose2d)
    others = op.in_channels // op.groups - 1
    channels = f" + the same of {others:,} other channels" if others else ""
    return f"{products}{more}{channels}{' + bias' if op.bias else ''}"
