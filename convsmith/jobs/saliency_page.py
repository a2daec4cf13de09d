"""The page of ``saliency``, and the table that the terminal shows as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from convsmith.quantities import format_percent, format_shape
from convsmith.report.explained import Explained, Listed, Part, Shot
from convsmith.report.overlay import overlay
from convsmith.report.tiles import as_color, enlarge

if TYPE_CHECKING:
    from convsmith.jobs.saliency import SaliencyView

_LARGE: Final = 300


def saliency_page(view: SaliencyView) -> Explained:
    """What the page shows."""
    name = view.trained.class_name
    answer = "its answer" if view.target == view.answer else f"its answer is {name(view.answer)}"
    tiles = [
        ("class", name(view.target), answer),
        ("probability", format_percent(view.probability), "of that class"),
        ("picture", format_shape(view.picture.native.shape[:2], " × "), "height × width of the file"),
    ]
    title = f"What in the picture speaks for {name(view.target)}"
    parts = [
        Part("picture", "The picture", (), [Shot("picture", "the file", enlarge(as_color(view.picture.native), _LARGE)),
             Shot("input", "what the network is given", enlarge(as_color(view.picture.pixels), _LARGE))]),
        Part("maps", "What decided", [_COLOURS], list(_shots(view))),
        Part("scores", "How far to believe them", [_SCORES], (), [
            Listed("Deletion and insertion", SCORE_HEADER, score_rows(view))]),
    ]  # fmt: skip
    return Explained("saliency", title, view.picture.path, tiles, view.trained.notes, parts)


def _shots(view: SaliencyView) -> Iterator[Shot]:
    fit = view.trained.preparation.fit
    for number, one in enumerate(view.maps, start=1):
        scores = f"deletion {one.score.deletion:.2f}, insertion {one.score.insertion:.2f}"
        caption = f"{one.title}: {_EMPTY if one.empty else scores}"
        drawn = overlay(view.picture.native, one.values.numpy(), fit, _LARGE)
        yield Shot(f"saliency-{number}-{one.method.replace(' ', '-').lower()}", caption, drawn)


SCORE_HEADER: Final = ("method", "deletion (low is good)", "insertion (high is good)")


def score_rows(view: SaliencyView) -> list[tuple[str, ...]]:
    """A row for each map, and one for random orders; see ``SCORE_HEADER``."""
    rows = [(f"{one.title} ({_EMPTY})" if one.empty else one.title, one.score) for one in view.maps]
    return [
        (title, f"{score.deletion:.3f}", f"{score.insertion:.3f}")
        for title, score in [*rows, ("pixels in random order", view.by_chance)]
    ]


_EMPTY: Final = "nothing here speaks for the class"


_COLOURS: Final = (
    "Red speaks for the class, blue against it, over the picture in its own shape. Occlusion covers squares; gradient "
    "x input asks each pixel; the class activation maps ask the units of a layer and cannot be finer than its map. At "
    "the last map before global pooling and one linear layer, Grad-CAM and HiResCAM are the same."
)
_SCORES: Final = (
    "Deletion is the mean probability of the class while its pixels become the mean pixel, the most salient first; "
    "insertion while they come back into the blurred picture. A map that is no better than pixels in random order says "
    "nothing about this network."
)
