"""What ``conv`` and ``pool`` have in common: the views of a layer that can be asked for, and printing them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from json import dumps
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from numpy import bincount

from convsmith.analysis.weight_matrix import MOST_ENTRIES, WeightMatrix
from convsmith.cli import layer_page
from convsmith.cli.app import Json, UsageError, json_text, print_text
from convsmith.cli.layer_matrix import matrix_lines, print_lines, terminal_width
from convsmith.cli.layer_step import walk
from convsmith.cli.page import print_blocks
from convsmith.jobs.layer import Layer

Input = Annotated[str, typer.Option(metavar="HxW|CxHxW", help="The map: 4x4, or 3x224x224 with its channels.")]
Matrix = Annotated[
    bool,
    typer.Option(
        "--matrix",
        help=f"The matrix C of Y = CX, a number and a colour for each weight; at most {MOST_ENTRIES:,} entries.",
    ),
]
Svg = Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the matrix into this SVG file.")]
Png = Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the matrix into this PNG file.")]
Walk = Annotated[bool, typer.Option("--step", help="Walk the window over the map, a key for the next place.")]
Checked = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Compute it by a plain loop, by C and by torch in float64; exit code 1 if they differ by more than 1e-9.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random numbers of --check.")]
AsJson = Annotated[bool, Json()]

_PLACE: Final = '"entries": []'


@dataclass(frozen=True)
class Wish:
    """What is wanted of a layer."""

    matrix: bool
    svg: Path | None
    png: Path | None
    step: bool
    check: bool
    seed: int
    json: bool


def show(layer: Layer, wish: Wish) -> None:
    """Print a layer, draw its matrix, walk its window and check it, as far as that is wanted.

    Raises:
        UsageError: If things are wanted that do not go together.
        OpError: If there is no such matrix, or too much of it.
        GateError: If the check finds a difference, after it was printed.
    """
    if wish.step and wish.json:
        raise UsageError("--step is for people", where=layer.command, remedy="leave --json or --step out")
    matrix = layer.matrix if wish.matrix or wish.svg or wish.png else None
    if matrix is not None:
        _draw(layer, matrix, wish)
    check = layer.check(wish.seed) if wish.check else None
    if wish.json:
        facts = replace(layer, shows_matrix=False).to_dict()
        if check is not None:
            facts["check"] = check.to_dict()
        _print_json(facts, matrix if wish.matrix else None)
    else:
        print_blocks(list(layer_page.blocks(layer)))
        if matrix is not None and wish.matrix:
            print_lines(matrix_lines(matrix, terminal_width()))
        if wish.step:
            walk(layer)
        if check is not None:
            print_text("")
            print_blocks(list(layer_page.check_blocks(check)))
    if check is not None:
        check.require()


def _draw(layer: Layer, matrix: WeightMatrix, wish: Wish) -> None:
    if wish.svg is None and wish.png is None:
        return
    from convsmith.report.matrix_picture import render_png, render_svg  # noqa: PLC0415  # pillow, for pictures alone

    title = f"{layer.command}: {layer_page.title(layer)}"
    if wish.svg is not None:
        render_svg(matrix, title, wish.svg)
    if wish.png is not None:
        render_png(matrix, title, wish.png)


def _print_json(facts: dict[str, Any], matrix: WeightMatrix | None) -> None:
    """The facts as JSON; the entries of a matrix go out row by row, as a list of millions would fill the memory."""
    if matrix is None:
        sys.stdout.write(json_text(facts))
        return
    before, _, after = json_text({**facts, "matrix": {**matrix.facts(), "entries": []}}).rpartition(_PLACE)
    sys.stdout.write(f'{before}"entries": [')
    for number, line in enumerate(_entry_lines(matrix)):
        sys.stdout.write(f"{',' if number else ''}\n      {line}")
    sys.stdout.write(f"\n    ]{after}")


def _entry_lines(matrix: WeightMatrix) -> Iterator[str]:
    """The (row, column, weight) of the entries, a line for each row."""
    entries, first = matrix.triples(), 0
    for count in bincount(matrix.rows).tolist():
        if count:
            yield dumps(entries[first : first + count].tolist())[1:-1]
        first += count
