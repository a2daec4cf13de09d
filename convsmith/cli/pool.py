"""``convsmith pool``."""

from __future__ import annotations

from typing import Annotated

import typer

from convsmith.cli import layer_command
from convsmith.cli.app import make_command
from convsmith.cli.layer_command import Wish, show
from convsmith.jobs.pool import pool


def _command(
    input: layer_command.Input,
    kernel: Annotated[str | None, typer.Option(help="Size of the window: 2, or 3x2 for height and width.")] = None,
    kind: Annotated[str, typer.Option(help="max or average.")] = "max",
    global_pool: Annotated[bool, typer.Option("--global", help="Pool the whole map, without a kernel.")] = False,
    stride: Annotated[str | None, typer.Option(help="Step: 2, or 2x1. [default: the kernel size]")] = None,
    padding: Annotated[
        str,
        typer.Option(
            help="Around the map: 1; 1x2 for height, width; 0,1,0,1 for top, bottom, left, right; same; valid."
        ),
    ] = "0",
    dilation: Annotated[str, typer.Option(help="Distance between the pixels of a window of max pooling.")] = "1",
    ceil_mode: Annotated[
        bool, typer.Option("--ceil-mode", help="Round the size up, so that a last partial window is kept.")
    ] = False,
    count_include_pad: Annotated[bool, typer.Option(help="Whether zeros of the padding count in a mean.")] = True,
    matrix: layer_command.Matrix = False,
    svg: layer_command.Svg = None,
    png: layer_command.Png = None,
    step: layer_command.Walk = False,
    check: layer_command.Checked = False,
    seed: layer_command.Seed = 0,
    json: layer_command.AsJson = False,
) -> None:
    """Explain one pooling in the same way."""
    layer = pool(
        input,
        kernel,
        kind=kind,
        global_pool=global_pool,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )
    show(layer, Wish(matrix, svg, png, step, check, seed, json))


command = make_command(_command, "pool")
