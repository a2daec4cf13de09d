"""``convsmith saliency``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convsmith.cli.app import Json, make_command, print_json
from convsmith.cli.display import make_display
from convsmith.cli.explained import Input, Model, Out, Picture, Seed, told
from convsmith.cli.page import Note, make_table, print_blocks
from convsmith.jobs.saliency import saliency
from convsmith.jobs.saliency_page import SCORE_HEADER, score_rows
from convsmith.quantities import format_percent


def _command(
    model: Annotated[str, Model()],
    image: Annotated[str, Picture()],
    target: Annotated[
        str | None, typer.Option("--class", help="The class that the maps should speak for; else the likeliest.")
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(help="A map for Grad-CAM and HiResCAM, as often as wanted; else those of the last two sections."),
    ] = None,
    window: Annotated[
        int | None, typer.Option(min=1, help="Side of the square that occlusion covers; else an eighth of the input's.")
    ] = None,
    out: Annotated[Path | None, Out("saliency")] = None,
    seed: Annotated[int, Seed(help="Decides the random orders that the scores are held against.")] = 0,
    input: Annotated[tuple | None, Input()] = None,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Show what in a picture decided a network's answer, and how far to believe it."""
    with make_display() as display:
        found = saliency(model, image, target=target, layers=layer or (), window=window, out=out, input=input,
                         seed=seed, show=display.show)  # fmt: skip
    if json:
        print_json(found.to_dict())
    else:
        name = found.trained.class_name
        about = f"{name(found.target)} with probability {format_percent(found.probability)}"
        other = "" if found.target == found.answer else f"; the network's answer is {name(found.answer)}"
        title = Note((found.picture.path,), style="title")
        print_blocks([title, Note((f"{about}{other}",)), make_table(SCORE_HEADER, score_rows(found))])
    told(found.files, found.trained.notes, out, json=json)


command = make_command(_command, "saliency")
