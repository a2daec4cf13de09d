"""What the commands that look into a trained network share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import typer

from convsmith.cli.app import Shape, tell

Model = partial(typer.Argument, metavar="RUN", help="The run folder of a train or fit that has ended, or an ONNX file.")
Picture = partial(typer.Argument, help="A picture file of any size: JPEG, PNG, WEBP, BMP, GIF or TIFF.")
Seed = partial(typer.Option, min=0)
Input = partial(Shape, help="Size of the image, where an ONNX file leaves it open.")


def Out(name: str) -> Any:  # stands beside the options of ``app``
    """The option ``--out`` of the command called ``name``."""
    return typer.Option(help=f"Write {name}.html, which opens offline, and its pictures as PNG files into this folder.")


def told(files: Sequence[str], notes: Sequence[str], out: Path | None, *, json: bool) -> None:
    """Say on standard error what was written, or how to get the pictures, and what a reader should know."""
    if not json:
        for note in notes:
            tell(f"note: {note}")
    if out is not None:
        tell(f"wrote {out / files[0]} and {len(files) - 1} pictures")
    elif not json:
        tell("the pictures: add --out FOLDER")
