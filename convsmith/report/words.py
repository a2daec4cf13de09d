"""What an inspection found, in plain words: the same sentences on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from convsmith.analysis import InputSize, Lint, Waste
from convsmith.quantities import format_count, format_percent, format_shape

MACS: Final = "One mac is one multiply-add of a convolution, linear layer or product, padding included; batch 1."
FIELD: Final = "Sees: pixels of the image that a unit sees, by height and width; + where it sees the whole map besides."
_NAMED: Final = 3


def one_image(shape: Sequence[int]) -> Sequence[int]:
    """``shape`` without its batch where that is one image."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


def field_text(size: Sequence[int], whole: bool, sign: str = "x") -> str:
    """Pixels that a unit sees by height and width, one number for a square; a plus where it sees the whole map."""
    height, width = size
    return f"{height if height == width else format_shape(size, sign)}{'+' if whole else ''}"


def waste_lines(waste: Waste, macs: int) -> Iterator[str]:
    """What comes to nothing, a sentence for each kind."""
    if waste.lossy:
        yield f"{_layers(waste.lossy, 'leaves', 'leave')} pixels unread that nothing else reads: {_named(waste.lossy)}"
    else:
        yield "every pixel of every map is read by something"
    if waste.unproductive:
        first = min(min(waste.layers[name].wakes or (0, 0)) for name in waste.unproductive)
        see = _layers(waste.unproductive, "already sees", "already see")
        shortest = f", {len(waste.min_unproductive)} of them on every path" if waste.min_unproductive else ""
        yield f"{see} more than the image on the way in{shortest}; the first wakes at {first:,} px"
    else:
        yield "every layer has something new to see"
    if waste.padding_macs:
        yield f"{format_percent(waste.padding_macs / max(macs, 1))} of the multiply-adds meet padding"


def lint_lines(lints: Sequence[Lint]) -> Iterator[str]:
    """The first hint of each rule, and how many there are like it."""
    for rule, found in groupby(lints, lambda lint: lint.rule):
        first, *others = found
        more = f" (and {len(others):,} more)" if others else ""
        yield f"{rule}: {first.node}: {first.reason}{more}"


def size_lines(sizes: Sequence[InputSize | None], macs: int) -> Iterator[str]:
    """Input sizes at which no window is left over, and what they cost."""
    for size in sizes:
        if size is not None:
            growth = format_percent(size.macs / max(macs, 1) - 1, signed=True)
            yield f"at {format_shape(size.size)} nothing is lost: {format_count(size.macs)} macs ({growth})"
    if not any(sizes):
        yield "no size nearby loses nothing"


def _layers(names: Sequence[str], one: str, many: str) -> str:
    return f"{len(names):,} layer {one}" if len(names) == 1 else f"{len(names):,} layers {many}"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
