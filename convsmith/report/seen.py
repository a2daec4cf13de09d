"""Pictures of what a network sees: maps, patches, fields, kernels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from convsmith.explain.effective import EffectiveField
from convsmith.explain.excite import Exciters, cut
from convsmith.explain.kernels import Kernels, Tag
from convsmith.explain.maps import FeatureMaps
from convsmith.explain.maximise import Maximised
from convsmith.explain.points import Point
from convsmith.quantities import format_percent, format_shape
from convsmith.report.explained import Shot
from convsmith.report.tiles import Pixels, as_color, blend, color_values, contact_sheet, draw_box, enlarge

Scale = Literal["own", "shared"]

_SIDE: Final = 64
_PATCH: Final = 48
_LARGE: Final = 288
_PLANES: Final = 16
_WIDEST: Final = 1_024


def maps_shot(maps: FeatureMaps, most: int, scale: Scale) -> Shot:
    """A contact sheet of a layer's maps, those that vary most first.

    Args:
        maps: The maps.
        most: How many are shown.
        scale: Whether each map has its own colours from its least to its largest value, or all have the same.
    """
    chosen = maps.order()[:most].tolist()
    limits = (float(maps.values.min()), float(maps.values.max())) if scale == "shared" else (None, None)
    tiles = [color_values(maps.values[channel], "heat", *limits) for channel in chosen]
    captions = [str(channel) for channel in chosen]
    colours = "all maps in the same colours" if scale == "shared" else "each map in its own colours"
    flat = int(maps.flat.sum())
    dead = f"; {flat} have one value everywhere" if flat else ""
    part = f"the {most} that vary most of" if most < maps.point.channels else ""
    caption = (
        f"{maps.point.name}: {part} {maps.point.channels} maps of {format_shape(maps.point.shape[1:], ' × ')}{dead}; "
        f"dark to bright, {colours}, number of the channel below"
    )
    return Shot(f"maps-{maps.point.section}-{_file(maps.point.name)}", " ".join(caption.split()),
                contact_sheet(tiles, captions, side=_SIDE, columns=8))  # fmt: skip


def field_shot(field: EffectiveField, pixels: Pixels) -> Shot:
    """The effective field over a picture (H, W, C), with the theoretical one as a frame."""
    heat = color_values(field.energy, "heat")
    over = blend(as_color(pixels), heat, 0.75)
    large = enlarge(over, _LARGE)
    factor = large.shape[0] / over.shape[0]
    box = tuple(round(edge * factor) for edge in field.box)
    caption = (
        f"{field.point.name}: 95 % of what the middle unit depends on lies in {field.pixels} pixels, a square of side "
        f"{field.side:.1f}, {format_percent(field.share)} of the frame that it could see"
    )
    return Shot(f"field-{field.point.section}-{_file(field.point.name)}", caption,
                draw_box(large, box))  # pyright: ignore[reportArgumentType]  # fmt: skip


def exciters_shot(exciters: Exciters, point: Point, pixels: Mapping[int, Pixels], most: int) -> Shot:
    """A row of patches for each of the channels that stand out most; each row begins with the channel's number."""
    tiles, captions = list[Pixels](), list[str]()
    for channel in exciters.order(point)[:most].tolist():
        for patch in exciters.patches(point, channel):
            tiles.append(as_color(cut(pixels[patch.image], patch.box)))
            captions.append(f"{channel}: {patch.value:.2g}")
    columns = sum(1 for _ in exciters.patches(point, 0))
    caption = (
        f"{point.name}: what excites a channel most, one row for each of {min(most, point.channels)} channels of "
        f"{point.channels}, the strongest first; cut out by the receptive field, grey outside the image"
    )
    return Shot(f"excites-{point.section}-{_file(point.name)}", caption,
                contact_sheet(tiles, captions, side=_PATCH, columns=columns))  # fmt: skip


def maximised_shot(made: Maximised) -> Shot:
    """The images that excite some channels as much as they can."""
    tiles = [as_color(image) for image in made.pixels]
    captions = [f"{channel}: {after:.2g}" for channel, after in zip(made.channels, made.after, strict=True)]
    caption = f"{made.point.name}: images made to excite a channel, with its number and mean answer"
    return Shot(f"made-{made.point.section}-{_file(made.point.name)}", caption,
                contact_sheet(tiles, captions, side=_SIDE, columns=8))  # fmt: skip


def kernel_shots(kernels: Kernels) -> Iterator[Shot]:
    """The kernels of a layer with their tags; a layer of single pixels is a matrix."""
    if not kernels.spatial:
        yield _matrix_shot(kernels)
        return
    order, weights = kernels.order(), kernels.weights
    if weights.shape[1] in (1, 3):
        tiles = [_kernel_tile(weights[channel]) for channel in order]
        captions = [f"{channel} {tag_text(kernels.tags[channel])}" for channel in order]
        caption = (
            f"{kernels.layer}: its {len(order)} kernels of {format_shape(weights.shape[2:], ' × ')}, each in its own "
            + ("colours with grey for zero" if weights.shape[1] == 3 else "colours: red above zero, blue below")
        )
        yield Shot(f"kernels-{_file(kernels.layer)}", caption, contact_sheet(tiles, captions, side=80, columns=8))
        return
    strongest = np.argsort(-(weights**2).sum(axis=(0, 2, 3)), kind="stable")[:_PLANES]
    tiles = [
        color_values(weights[channel, plane], "signed", 0, float(np.abs(weights[channel]).max()))
        for channel in order[: 2 * _PLANES]
        for plane in strongest
    ]
    captions = [str(order[at // len(strongest)]) if at % len(strongest) == 0 else "" for at in range(len(tiles))]
    caption = (
        f"{kernels.layer}: one row for each of {min(len(order), 2 * _PLANES)} of {len(order)} output channels, one "
        f"column for each of the {len(strongest)} input channels with the largest weights of {weights.shape[1]}; red "
        "above zero, blue below, number of the output channel on the left"
    )
    yield Shot(f"kernels-{_file(kernels.layer)}", caption,
               contact_sheet(tiles, captions, side=30, columns=len(strongest)))  # fmt: skip


def tag_text(tag: Tag) -> str:
    """A tag in a few letters: ``edge 45 .25 grey``."""
    shown = {"oriented": f"edge {tag.angle or 0:.0f}", "spot": "spot", "low-pass": "low", "zero": "zero"}[tag.pattern]
    frequency = f" {tag.frequency:.2f}".replace(" 0.", " .") if tag.frequency else ""
    colour = f" {tag.colour}" if tag.colour and tag.colour != "grey" else ""
    return f"{shown}{frequency}{colour}"


def _kernel_tile(kernel: NDArray[np.float64]) -> Pixels:
    if len(kernel) == 1:
        return color_values(kernel[0], "signed")
    largest = float(np.abs(kernel).max()) or 1.0
    return np.rint(127.5 + 127.5 * kernel.transpose(1, 2, 0) / largest).astype(np.uint8)


def _matrix_shot(kernels: Kernels) -> Shot:
    matrix = kernels.weights[..., 0, 0]
    caption = (
        f"{kernels.layer}: kernels of one pixel, so there is no pattern in space; its weights, a row for each of "
        f"{matrix.shape[0]} output channels, a column for each of {matrix.shape[1]} input channels"
    )
    colors = color_values(matrix, "signed")
    return Shot(f"kernels-{_file(kernels.layer)}", caption, enlarge(colors, min(_WIDEST, 12 * max(matrix.shape))))


def _file(name: str) -> str:
    """A layer's name as part of the name of a file."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)
