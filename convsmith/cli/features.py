"""``convsmith features``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convsmith.cli.app import Json, make_command, print_json
from convsmith.cli.display import make_display
from convsmith.cli.explained import Input, Model, Out, Picture, Seed, told
from convsmith.cli.page import Block, Note, make_table, print_blocks
from convsmith.jobs.features import FeatureView, features
from convsmith.jobs.features_page import FIELD_HEADER, field_rows
from convsmith.quantities import format_shape
from convsmith.report.seen import Scale

_CHANNELS = 3


def _command(
    model: Annotated[str, Model()],
    image: Annotated[str, Picture()],
    layer: Annotated[
        list[str] | None,
        typer.Option(help="A layer to look at, as often as wanted; else the last map of each section."),
    ] = None,
    among: Annotated[
        str | None,
        typer.Option(metavar="IMAGES", help="Look among these images for what excites each channel most."),
    ] = None,
    make: Annotated[bool, typer.Option("--make", help="Make images that excite channels as much as they can.")] = False,
    channels: Annotated[int, typer.Option(min=1, help="Maps of a layer that are shown at most.")] = 64,
    patches: Annotated[int, typer.Option(min=1, help="Images for each channel of --among.")] = 9,
    scale: Annotated[
        Scale, typer.Option(help="Colours of each map's own values, or the same for all maps of a layer.")
    ] = "own",
    out: Annotated[Path | None, Out("features")] = None,
    seed: Annotated[int, Seed(help="Decides what is drawn: signs of gradients, noise to begin with.")] = 0,
    input: Annotated[tuple | None, Input()] = None,
    json: Annotated[bool, Json()] = False,
) -> None:
    """Show the feature maps that a trained network makes of a picture, and what its channels look for."""
    with make_display() as display:
        found = features(model, image, layers=layer or (), among=among, make=make, channels=channels, patches=patches,
                         scale=scale, out=out, input=input, seed=seed, show=display.show)  # fmt: skip
    if json:
        print_json(found.to_dict())
    else:
        print_blocks(list(_blocks(found)))
    told(found.files, found.trained.notes, out, json=json)


def _blocks(found: FeatureView) -> list[Block]:
    size = format_shape(found.picture.native.shape[:2])
    about = f"{found.trained.name}: {size} pixels, seen at {format_shape(found.picture.pixels.shape[:2])}"
    rows = [
        (
            one.point.section,
            one.point.name,
            format_shape(one.point.shape),
            str(int(one.flat.sum())),
            ", ".join(str(channel) for channel in one.order()[:_CHANNELS].tolist()),
        )
        for one in found.maps
    ]
    blocks: list[Block] = [
        Note((found.picture.path,), style="title"),
        Note((about,)),
        make_table(("section", "layer", "maps", "flat", "vary most"), rows, left=5),
        Note((f"gradients of the middle unit, over {found.field_images} images",), heading="What a unit depends on"),
        make_table(FIELD_HEADER, field_rows(found)),
    ]
    if found.excited:
        blocks += _exciting(found)
    return blocks


def _exciting(found: FeatureView) -> list[Block]:
    excited = found.excited
    assert excited is not None
    rows = [
        (point.name, str(channel), f"{best.value:.3g}", excited.names[best.image])
        for point in excited.found.wanted
        for channel in excited.found.order(point)[:_CHANNELS].tolist()
        for best in [next(excited.found.patches(point, channel))]
    ]
    told = f"among {excited.images:,} images of {excited.source}"
    return [Note((told,), heading="What excites a channel"),
            make_table(("layer", "channel", "answer", "strongest in"), rows, left=4)]  # fmt: skip


command = make_command(_command, "features")
