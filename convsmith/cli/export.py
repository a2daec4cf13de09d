"""``convsmith export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convsmith.cli.app import Json, make_command, one_line, print_json, print_text
from convsmith.cli.display import make_display
from convsmith.jobs.export import FORMATS, export
from convsmith.quantities import format_bytes, format_percent


def _command(
    run: Annotated[str, typer.Argument(help="The run folder of a train or fit that has ended.")],
    to: Annotated[str, typer.Option(help=f"The format: {', '.join(FORMATS)}.")] = FORMATS[0],
    out: Annotated[Path | None, typer.Option(help="The file; by default model.onnx in the run folder.")] = None,
    images: Annotated[str | None, typer.Option(help="Images for the parity gate; noise if none are given.")] = None,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Write a trained network to a file that has passed its parity gate."""
    with make_display() as display:
        done = export(run, to=to, out=out, images=images, show=display.show)
    result = done.to_dict()
    if json:
        print_json(result)
        return
    parity = done.parity
    print_text(f"{one_line(str(done.path))}, {format_bytes(result['bytes'])}")
    print_text(
        f"Gives the network's answers on {format_percent(parity.agreement)} of {parity.images} images "
        f"({one_line(done.judged_on)}); its scores differ by {parity.relative:.2g} of the largest at most."
    )


command = make_command(_command, "export")
