"""The page of ``similarity``, and the tables that the terminal shows as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from convsmith.explain.ghost import Ghostable
from convsmith.explain.moments import ALIKE
from convsmith.explain.stages import Contrast
from convsmith.quantities import format_count, format_percent
from convsmith.report.explained import Explained, Listed, Part, Shot
from convsmith.report.similar import channels_picture, ghost_picture, layers_picture

if TYPE_CHECKING:
    from convsmith.jobs.similarity import Channels, SimilarityView


def similarity_page(view: SimilarityView) -> Explained:
    """What the page shows."""
    found = view.contrast
    tiles = [
        ("images", f"{view.images:,}", f"in {view.batches} batches"),
        ("layers", str(len(view.layers)), "compared"),
    ]
    if found:
        tiles.append(("within a stage", f"{found.within:.2f}", "mean CKA of two layers"))
        tiles.append(("between stages", f"{found.between:.2f}", "mean CKA of two layers"))
    title = f"How alike the parts of {view.trained.graph.name} are"
    return Explained("similarity", title, f"{view.trained.name} on {view.source}", tiles, view.notes,
                     list(_parts(view)))  # fmt: skip


def contrast_lines(found: Contrast | None) -> Iterator[str]:
    """The claim of the tutorial in words, with its figure."""
    if found is None:
        yield "There are no two stages with layers that vary, so there is nothing to compare."
        return
    yield (
        f"Two layers of one stage have a CKA of {found.within:.3f} on average, two layers of different stages "
        f"{found.between:.3f}: a difference of {found.difference:+.3f}{_between(found.interval)}."
    )
    if found.at_same_distance is not None:
        yield (
            "Between layers that are equally many layers apart the difference is "
            f"{found.at_same_distance:+.3f}{_between(found.at_same_distance_interval)}: what a border of stages adds, "
            "since neighbours are alike in any network."
        )


def _between(interval: tuple[float, float] | None) -> str:
    return f" (95 % interval {interval[0]:+.3f} to {interval[1]:+.3f})" if interval else ""


def _parts(view: SimilarityView) -> Iterator[Part]:
    caption = "every layer against every other; white lines are the borders of sections, grey has no value"
    yield Part(
        "layers",
        "Layer by layer",
        [*contrast_lines(view.contrast)],
        [Shot("layers", caption, layers_picture(view.cka, view.layers))],
    )
    for name, heading, what, some in (
        ("channels", "Channels inside a layer", "channels of", view.channels),
        ("stages", "Channels of a stage", "channels of the blocks of", view.stages),
    ):
        shots = [
            Shot(f"{name}-{number}", f"{what} {one.name}: correlation, alike ones together", channels_picture(
                one.found, f"{what} {one.name}"))
            for number, one in enumerate(some, start=1)
        ]  # fmt: skip
        lines = [
            "Correlation of two channels over images and places. Channels in a frame are alike: their correlation is "
            f"about {ALIKE} or more, up to its sign. Grey channels are constant."
        ]
        yield Part(name, heading, lines, shots, [
            Listed("Alike channels", CHANNEL_HEADER, channel_rows(some)),
            Listed("The most alike pairs", PAIR_HEADER, pair_rows(some), words=3),
        ])  # fmt: skip
    if view.ghostable:
        lines = [
            "Half the channels of each layer are kept, and the others restored from them by a linear map that was "
            "fitted on half of the images and judged on the other. What is saved are the multiply-adds of the channels "
            "left out, less those of the map; a negative number says that the map costs more."
        ]
        shots = [Shot("ghostable", "the share of half the channels' variance that the others restore", ghost_picture(
            view.ghostable))]  # fmt: skip
        yield Part("ghostable", "What could be ghosts", lines, shots, [
            Listed("Ghostable share of every layer", GHOST_HEADER, ghost_rows(view.ghostable), words=2)
        ])  # fmt: skip


CHANNEL_HEADER: Final = ("of", "channels", "constant", "mean |correlation|", "have a twin")


def channel_rows(some: tuple[Channels, ...]) -> list[tuple[str, ...]]:
    """A row for each layer or stage; see ``CHANNEL_HEADER``."""
    return [
        (
            one.name,
            str(len(one.members)),
            str(len(one.found.dead)),
            "" if one.found.mean is None else f"{one.found.mean:.3f}",
            str(one.found.redundant),
        )
        for one in some
    ]


PAIR_HEADER: Final = ("of", "channel", "and", "correlation")
_PAIRS: Final = 3


def pair_rows(some: tuple[Channels, ...]) -> list[tuple[str, ...]]:
    """The most alike pairs of each layer or stage; see ``PAIR_HEADER``."""
    rows = list[tuple[str, ...]]()
    for one in some:
        several = len({member.point.name for member in one.members}) > 1
        for first, second, value in one.found.pairs(_PAIRS):
            named = [
                f"{member.point.name}:{member.channel}" if several else str(member.channel)
                for member in (one.members[first], one.members[second])
            ]
            rows.append((one.name, *named, f"{value:+.3f}"))
    return rows


GHOST_HEADER: Final = ("layer", "section", "kept", "restored", "by one each", "macs", "saved", "saved, one each")


def ghost_rows(rows: tuple[Ghostable, ...]) -> list[tuple[str, ...]]:
    """A row for each layer; see ``GHOST_HEADER``."""
    return [
        (
            one.point.name,
            one.point.section,
            f"{one.kept} of {one.point.channels}",
            *("" if share is None else format_percent(share) for share in (one.restored, one.restored_single)),
            *(format_count(macs) for macs in (one.point.macs, one.macs_saved, one.macs_saved_single)),
        )
        for one in rows
    ]
