"""The matrix C of a layer as a picture: a square for each place, one colour and number for each weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from convsmith.analysis.weight_matrix import WeightMatrix
from convsmith.errors import OpError
from convsmith.files import write_atomically, write_text
from convsmith.quantities import format_shape
from convsmith.report.markup import Markup, element
from convsmith.report.matrix_line import matrix_line
from convsmith.report.weight_colors import weight_color

MOST_SIDE: Final = 4_000
"""Most rows and columns of a picture."""
MOST_DRAWN: Final = 200_000
"""Most entries of an SVG file, each of which is a shape of its own."""

_INK: Final = "#1b1f24"
_SOFT: Final = "#5a636e"
_LINE: Final = "#d5dae0"
_WIDEST: Final = 2_000  # pixels that squares should not exceed in all
_LARGEST: Final = 30
_NUMBERED: Final = 16  # pixels of a square from which on a number fits into it
_RULED: Final = 6  # pixels of a square from which on there are lines between them
_LEFT, _TOP, _EDGE, _GAP = 56, 84, 20, 30
_NARROWEST: Final = 560
_CHARACTER: Final = 9.6  # pixels of a character of the title, on average
_PLANES: Final = 4
_FONT: Final = 13


@dataclass(frozen=True)
class _Square:
    x: float
    y: float
    side: float
    color: str


@dataclass(frozen=True)
class _Text:
    """Text, centred on a point unless it starts or ends there."""

    x: float
    y: float
    text: str
    size: int = _FONT
    color: str = _INK
    anchor: str = "middle"


class _Layout:
    """Where everything is; both formats draw from it."""

    def __init__(self, matrix: WeightMatrix, title: str) -> None:
        rows, columns = matrix.shape
        self.matrix = matrix
        self.side = max(1, min(_LARGEST, _WIDEST // max(rows, columns)))
        self.size = (columns * self.side, rows * self.side)
        self.title = title
        legend = list(self.legend())
        right = [box.x + box.side for box in legend if isinstance(box, _Square)]
        named = _EDGE + _CHARACTER * len(title)
        self.width = round(max(named, _LEFT + self.size[0] + _EDGE, _NARROWEST, *right) + _EDGE)
        self.height = round(
            max([self.below, *(box.y + box.side for box in legend if isinstance(box, _Square))]) + _EDGE
        )

    @property
    def below(self) -> float:
        """Where the matrix ends."""
        return _TOP + self.size[1]

    def words(self) -> Iterator[_Text]:
        """Title, what there is, and the numbers of rows and columns."""
        shape = self.matrix.shape
        facts = matrix_line(self.matrix)
        yield _Text(_EDGE, 24, self.title, 16, _INK, "start")
        yield _Text(_EDGE, 47, facts, _FONT, _SOFT, "start")
        if self.side >= _NUMBERED:
            apart = -(-(7 * len(f"x{shape[1] - 1}") + 6) // self.side)  # so that names do not touch
            for column in range(0, shape[1], apart):
                yield _Text(_LEFT + (column + 0.5) * self.side, _TOP - 10, f"x{column}", 11, _SOFT)
            for row in range(shape[0]):
                yield _Text(_LEFT - 8, _TOP + (row + 0.5) * self.side, f"y{row}", 11, _SOFT, "end")

    def numbers(self) -> Iterator[_Text]:
        """The number of the weight in each square, where it fits."""
        if self.side < _NUMBERED or self.matrix.count > 1000:
            return
        matrix = self.matrix
        for row, column, weight in zip(matrix.rows, matrix.columns, matrix.weights, strict=True):
            x, y = _LEFT + (column + 0.5) * self.side, _TOP + (row + 0.5) * self.side
            yield _Text(float(x), float(y), str(weight), 12 if self.side >= 24 else 9)

    def legend(self) -> Iterator[_Square | _Text]:
        """The kernel's weights in their places, or the means."""
        top, count = self.below + _GAP, self.matrix.count
        if self.matrix.values:
            yield _Text(_EDGE, top, "means, by number", _FONT, _SOFT, "start")
            for number, value in enumerate(self.matrix.values[:12]):
                yield _Square(_EDGE, top + 14 + 26 * number, 22, weight_color(number, count))
                yield _Text(_EDGE + 11, top + 25 + 26 * number, str(number))
                yield _Text(_EDGE + 32, top + 25 + 26 * number, f"{value:.6g}", _FONT, _INK, "start")
            return
        high, wide = self.matrix.kernel[-2:]
        if high * wide > 64 or count > 1000:
            return
        planes = count // (high * wide)
        more = f", the first {_PLANES} of {planes:,} planes" if planes > _PLANES else ""
        yield _Text(_EDGE, top, f"kernel: numbers of its weights{more}", _FONT, _SOFT, "start")
        for plane in range(min(planes, _PLANES)):
            for place in range(high * wide):
                weight, (row, column) = plane * high * wide + place, divmod(place, wide)
                x, y = _EDGE + plane * (wide * 30 + 16) + column * 30, top + 14 + row * 30
                yield _Square(x, y, 29, weight_color(weight, count))
                yield _Text(x + 14.5, y + 14.5, str(weight), 12)


def render_svg(matrix: WeightMatrix, title: str, path: Path) -> Path:
    """Draw a matrix as SVG.

    Raises:
        OpError: If it is too large to be seen.
        RunError: If the file cannot be written.
    """
    _check(matrix, path)
    if matrix.nonzeros > MOST_DRAWN:
        rule = f"an SVG picture holds at most {MOST_DRAWN:,} entries"
        raise OpError(rule, received=matrix.nonzeros, where=str(path), remedy="take --png or a smaller map")
    layout = _Layout(matrix, title)
    legend = list(layout.legend())
    parts = [
        element("rect", width=layout.width, height=layout.height, fill="white"),
        *(_svg_squares(layout)),
        *(_svg_lines(layout)),
        *(_svg_square(box) if isinstance(box, _Square) else _svg_text(box) for box in legend),
        *map(_svg_text, (*layout.words(), *layout.numbers())),
    ]
    picture = element("svg", element("title", title), *parts, xmlns="http://www.w3.org/2000/svg",
                      width=layout.width, height=layout.height, viewBox=f"0 0 {layout.width} {layout.height}",
                      font_family="DejaVu Sans, Arial, sans-serif", role="img")  # fmt: skip
    return write_text(path, f"{picture}\n")


def _check(matrix: WeightMatrix, path: Path) -> None:
    if max(matrix.shape) > MOST_SIDE:
        rule = f"a picture of a matrix has at most {MOST_SIDE:,} rows and columns"
        remedy = "take a smaller map or fewer channels, or --json for all entries"
        raise OpError(rule, received=format_shape(matrix.shape), where=str(path), remedy=remedy)


def _svg_squares(layout: _Layout) -> Iterator[Markup]:
    """All squares of a colour as one path, so that the file stays small."""
    matrix, side = layout.matrix, layout.side
    order = np.argsort(matrix.weights, kind="stable")
    weights, starts = np.unique(matrix.weights[order], return_index=True)
    for weight, group in zip(weights, np.split(order, starts[1:]), strict=True):
        corners = zip(matrix.columns[group] * side + _LEFT, matrix.rows[group] * side + _TOP, strict=True)
        path = "".join(f"M{x} {y}h{side}v{side}h-{side}z" for x, y in corners)
        yield element("path", d=path, fill=weight_color(int(weight), matrix.count))


def _svg_lines(layout: _Layout) -> Iterator[Markup]:
    (wide, high), side = layout.size, layout.side
    if side >= _RULED:
        across = "".join(f"M{_LEFT} {_TOP + y}h{wide}" for y in range(0, high + 1, side))
        down = "".join(f"M{_LEFT + x} {_TOP}v{high}" for x in range(0, wide + 1, side))
        yield element("path", d=across + down, stroke=_LINE, fill="none")
    else:
        yield element("rect", x=_LEFT, y=_TOP, width=wide, height=high, fill="none", stroke=_LINE)


def _svg_square(box: _Square) -> Markup:
    return element("rect", x=box.x, y=box.y, width=box.side, height=box.side, fill=box.color)


def _svg_text(text: _Text) -> Markup:
    return element("text", text.text, x=f"{text.x:g}", y=f"{text.y:g}", font_size=text.size, fill=text.color,
                   text_anchor=text.anchor, dominant_baseline="central")  # fmt: skip


def render_png(matrix: WeightMatrix, title: str, path: Path) -> Path:
    """Draw a matrix as PNG.

    Raises:
        OpError: If it is too large to be seen.
        RunError: If the file cannot be written.
    """
    _check(matrix, path)
    layout = _Layout(matrix, title)
    canvas = np.full((layout.height, layout.width, 3), 255, np.uint8)
    (wide, high), side = layout.size, layout.side
    cells = np.full((*matrix.shape, 3), 255, np.uint8)
    palette = [ImageColor.getrgb(weight_color(weight, matrix.count)) for weight in range(matrix.count)]
    cells[matrix.rows, matrix.columns] = np.array(palette, np.uint8)[matrix.weights]
    canvas[_TOP : _TOP + high, _LEFT : _LEFT + wide] = cells.repeat(side, 0).repeat(side, 1)
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    if side >= _RULED:
        for x in range(_LEFT, _LEFT + wide + 1, side):
            draw.line((x, _TOP, x, _TOP + high), fill=_LINE)
        for y in range(_TOP, _TOP + high + 1, side):
            draw.line((_LEFT, y, _LEFT + wide, y), fill=_LINE)
    else:
        draw.rectangle((_LEFT, _TOP, _LEFT + wide, _TOP + high), outline=_LINE)
    for box in layout.legend():
        if isinstance(box, _Square):
            draw.rectangle((box.x, box.y, box.x + box.side, box.y + box.side), fill=box.color)
    texts: Sequence[_Square | _Text] = (*layout.words(), *layout.numbers(), *layout.legend())
    anchors = {"start": "lm", "middle": "mm", "end": "rm"}
    for text in texts:
        if isinstance(text, _Text):
            font = ImageFont.load_default(text.size)
            draw.text((text.x, text.y), text.text, fill=text.color, font=font, anchor=anchors[text.anchor])
    return write_atomically(path, lambda target: picture.save(target, format="PNG"))
