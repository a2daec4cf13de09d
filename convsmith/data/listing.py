"""The list of labelled images that every kind of source is brought to.

This file exists so that everything after it sees one shape of data, whatever the user keeps on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from convsmith.errors import DataError

SPLIT_NAMES: Final = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled image.

    Attributes:
        path: Path relative to the listing's root (absolute where a manifest says so).
        label: Index into the listing's classes.
        split: ``"train"``, ``"val"`` or ``"test"`` where the source declares it, else None.
    """

    path: str
    label: int
    split: str | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """Every image of a source in a fixed order: by split, class and path, or as a manifest lists them."""

    root: str
    classes: tuple[str, ...]
    items: tuple[Item, ...]
    rejected: tuple[Rejected, ...] = ()


def shown(path: str | Path) -> str:
    """A path on one line, whatever characters its name has."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def build_listing(
    root: str, rows: Sequence[tuple[str, str, str | None]], rejected: Iterable[Rejected], classes: set[str], remedy: str
) -> Listing:
    """Number the classes of ``(path, class, split)`` rows, sorted by name, or by number where all are numbers.

    Raises:
        DataError: If there are fewer than two classes, or a class has no image.
    """
    if len(classes) < 2:
        raise DataError("at least two classes are needed", received=sorted(classes), where=shown(root), remedy=remedy)
    for empty in sorted(classes - {name for _, name, _ in rows}):
        raise DataError(f"class {empty!r} has no image", where=shown(root), remedy="add images or remove the class")
    numbers = all(name.isascii() and name.isdecimal() for name in classes)
    ordered = sorted(classes, key=lambda name: (int(name) if numbers else 0, name))
    number = {name: index for index, name in enumerate(ordered)}
    items = tuple(Item(path, number[name], split) for path, name, split in rows)
    return Listing(root, tuple(number), items, tuple(rejected))
