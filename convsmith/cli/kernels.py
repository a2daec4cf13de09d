"""``convsmith kernels``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convsmith.cli.app import Json, make_command, print_json
from convsmith.cli.explained import Input, Model, Out, told
from convsmith.cli.page import Block, Note, make_table, print_blocks
from convsmith.explain.kernels import Kernels
from convsmith.jobs.kernels import HEADER, kernel_rows, view_kernels
from convsmith.quantities import format_shape

_ROWS = 32


def _command(
    model: Annotated[str, Model()],
    layer: Annotated[str | None, typer.Option(help="A further layer to look at, by its name.")] = None,
    out: Annotated[Path | None, Out("kernels")] = None,
    input: Annotated[tuple | None, Input()] = None,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Show the kernels of a trained network, and say what each looks for: edges, spots, colours."""
    found = view_kernels(model, layer=layer, out=out, input=input)
    if json:
        print_json(found.to_dict())
    else:
        print_blocks([block for one in found.layers for block in _blocks(one)])
    told(found.files, found.trained.notes, out, json=json)


def _blocks(one: Kernels) -> list[Block]:
    counted = ", ".join(f"{count} {kind}" for kind, count in one.count("pattern").items())
    colours = ", ".join(f"{count} {kind}" for kind, count in one.count("colour").items())
    about = [f"{format_shape(one.weights.shape)} weights: {counted}", *([f"colours: {colours}"] if colours else [])]
    rows = kernel_rows(one)
    left = [f"{len(rows) - _ROWS:,} more kernels are listed by --json"] if len(rows) > _ROWS else []
    return [Note((one.layer,), style="title"), Note((*about, *left)), make_table(HEADER, rows[:_ROWS], left=4)]


command = make_command(_command, "kernels")
