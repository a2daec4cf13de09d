"""``convsmith conv``."""

from __future__ import annotations

from typing import Annotated

import typer

from convsmith.cli import layer_command
from convsmith.cli.app import make_command
from convsmith.cli.layer_command import Wish, show
from convsmith.jobs.conv import conv


def _command(
    input: layer_command.Input,
    kernel: Annotated[str, typer.Option(help="Kernel size: 3, or 3x5 for height and width.")],
    stride: Annotated[str, typer.Option(help="Step: 2, 2x1; 1/2 puts blanks between pixels and enlarges.")] = "1",
    padding: Annotated[
        str,
        typer.Option(help="Zeros around: 1; 1x2 for height, width; 0,1,0,1 for top, bottom, left, right; same; valid."),
    ] = "0",
    dilation: Annotated[str, typer.Option(help="Distance between the taps of the kernel.")] = "1",
    groups: Annotated[int, typer.Option(help="Groups of channels that do not see each other.")] = 1,
    output_padding: Annotated[str, typer.Option(help="Rows and columns more at the end, of an enlarged map.")] = "0",
    transpose: Annotated[
        bool, typer.Option("--transpose", help="The transposed convolution, as torch.nn.ConvTranspose2d.")
    ] = False,
    out_channels: Annotated[int | None, typer.Option(help="Number of kernels. [default: --groups]")] = None,
    bias: Annotated[bool, typer.Option("--bias", help="Add a number to each output channel.")] = False,
    matrix: layer_command.Matrix = False,
    svg: layer_command.Svg = None,
    png: layer_command.Png = None,
    step: layer_command.Walk = False,
    check: layer_command.Checked = False,
    seed: layer_command.Seed = 0,
    json: layer_command.AsJson = False,
) -> None:
    """Explain one convolution: its size with the numbers, what it drops, shares and sees, its matrix."""
    layer = conv(
        input,
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        output_padding=output_padding,
        transpose=transpose,
        out_channels=out_channels,
        bias=bias,
    )
    show(layer, Wish(matrix, svg, png, step, check, seed, json))


command = make_command(_command, "conv")
