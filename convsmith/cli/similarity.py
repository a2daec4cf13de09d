"""``convsmith similarity``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convsmith.cli.app import Images, Json, make_command, print_json
from convsmith.cli.display import make_display
from convsmith.cli.explained import Input, Model, Out, Seed, told
from convsmith.cli.page import Block, Note, make_table, print_blocks
from convsmith.jobs.similarity import DEFAULT_IMAGES, SimilarityView, similarity
from convsmith.jobs.similarity_page import (
    CHANNEL_HEADER,
    GHOST_HEADER,
    PAIR_HEADER,
    channel_rows,
    contrast_lines,
    ghost_rows,
    pair_rows,
)


def _command(
    model: Annotated[str, Model()],
    images: Annotated[str, Images()],
    layer: Annotated[
        list[str] | None,
        typer.Option(
            help="A layer whose channels are compared, as often as wanted; else the last map of each section."
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Images drawn from the set at most.")] = DEFAULT_IMAGES,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Images of a batch; by default so many that there are 16, from 8 to 32.")
    ] = None,
    out: Annotated[Path | None, Out("similarity")] = None,
    seed: Annotated[int, Seed(help="Decides which images are drawn, their batches and the bootstrap.")] = 0,
    input: Annotated[tuple | None, Input()] = None,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Compare the layers and the channels of a trained network, and say what it could do without."""
    with make_display() as display:
        found = similarity(model, images, layers=layer or (), count=count, batch=batch, out=out, input=input, seed=seed,
                           show=display.show)  # fmt: skip
    if json:
        print_json(found.to_dict())
    else:
        print_blocks(_blocks(found))
    told(found.files, found.notes, out, json=json)


def _blocks(found: SimilarityView) -> list[Block]:
    about = f"{len(found.layers)} layers on {found.images:,} images of {found.source} in {found.batches} batches"
    both = (*found.channels, *found.stages)
    return [
        Note((found.trained.name,), style="title"),
        Note((about,)),
        Note(tuple(contrast_lines(found.contrast)), heading="Are layers of a stage alike, and stages not?"),
        make_table(CHANNEL_HEADER, channel_rows(both)),
        make_table(PAIR_HEADER, pair_rows(both), left=3),
        Note(("half the channels restored from the other half, and the multiply-adds that saves",),
             heading="What could be ghosts"),
        make_table(GHOST_HEADER, ghost_rows(found.ghostable), left=2),
    ]  # fmt: skip


command = make_command(_command, "similarity")
