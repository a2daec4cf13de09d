"""The page of ``features``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from convsmith.quantities import format_percent, format_shape
from convsmith.report.explained import Explained, Listed, Part, Shot
from convsmith.report.seen import Scale, exciters_shot, field_shot, maps_shot, maximised_shot
from convsmith.report.tiles import as_color, enlarge

if TYPE_CHECKING:
    from convsmith.jobs.features import FeatureView

_TIMES: Final = " × "
_LARGE: Final = 320


def features_page(view: FeatureView, channels: int, scale: Scale) -> Explained:
    """What the page shows; at most ``channels`` maps of a layer."""
    picture, resolution = view.picture, view.trained.preparation.resolution
    tiles = [
        ("picture", format_shape(picture.native.shape[:2], _TIMES), "height × width of the file"),
        ("seen at", f"{resolution}{_TIMES}{resolution}", "what the network is given"),
        ("layers", str(len(view.maps)), "looked at"),
    ]
    return Explained("features", f"What {view.trained.graph.name} makes of a picture", picture.path, tiles,
                     view.trained.notes, list(_parts(view, channels, scale)))  # fmt: skip


def _parts(view: FeatureView, channels: int, scale: Scale) -> Iterator[Part]:
    picture = view.picture
    seen = [
        Shot("picture", "the file", enlarge(as_color(picture.native), _LARGE)),
        Shot("input", "what the network is given", enlarge(as_color(picture.pixels), _LARGE)),
    ]
    yield Part("picture", "The picture", (), seen)
    for number, maps in enumerate(view.maps, start=1):
        yield Part(f"maps{number}", f"{maps.point.section}: {maps.point.name}", (), [maps_shot(maps, channels, scale)])
    yield Part(
        "fields",
        "What a unit depends on",
        [
            "The frame is what the middle unit of the map could see; bright is what it depends on, by its gradient, "
            f"averaged over {view.field_images} image{'' if view.field_images == 1 else 's'}."
        ],
        [field_shot(field, picture.pixels) for field in view.fields],
        [Listed("Theoretical and effective fields", FIELD_HEADER, field_rows(view))],
    )
    if view.excited:
        excited = view.excited
        chosen = {
            patch.image
            for point in excited.found.wanted
            for channel in excited.found.order(point)[: excited.shown].tolist()
            for patch in excited.found.patches(point, channel)
        }
        pixels = {number: excited.pixels[number] for number in chosen}
        lines = [
            f"Among {excited.images:,} images of {excited.source}. Channels whose best image stands out come first."
        ]
        shots = [exciters_shot(excited.found, point, pixels, excited.shown) for point in excited.found.wanted]
        yield Part("excites", "What excites a channel", lines, shots)
    if view.made:
        lines = [
            "Gradient ascent on the pixels, from noise. They show what a channel could be excited by, not what it is."
        ]
        yield Part("made", "Made to excite a channel", lines, [maximised_shot(one) for one in view.made])


FIELD_HEADER: Final = (
    "layer",
    "channels",
    "map",
    "sees at most",
    "95 % in pixels",
    "as a square of",
    "of what it sees",
)


def field_rows(view: FeatureView) -> list[tuple[str, ...]]:
    """A row for each layer; see ``FIELD_HEADER``."""
    return [
        (
            one.point.name,
            str(one.point.channels),
            format_shape(one.point.shape[1:]),
            format_shape(one.field.size) + (" and all" if one.field.whole else ""),
            str(one.pixels),
            f"{one.side:.1f}",
            format_percent(one.share),
        )
        for one in view.fields
    ]
