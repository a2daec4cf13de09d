"""Dividing images into those that are learnt from, those that choose, and those that judge."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data.images import Images
from convsmith.errors import DataError

_FEWEST: Final = 3


@dataclass(frozen=True, eq=False)
class Split:
    """Sorted int64 indices of the images that train, that select among candidates, and that test once."""

    train: NDArray[np.int64]
    select: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def digest(self) -> str:
        """Which images are for what, as 24 hex digits: the same images may come to be divided otherwise."""
        found = hashlib.sha256()
        for part in (self.train, self.select, self.test):
            found.update(len(part).to_bytes(8, "little") + part.astype("<i8").tobytes())
        return found.hexdigest()[:24]


def split_images(images: Images, *, seed: int, select: float = 0.15, test: float = 0.2) -> Split:
    """Split images by class, the same way for the same seed.

    A declared test set is the test set and a declared val set is the select set. What is not declared is
    cut from the remaining images: ``test`` and ``select`` are fractions of each class's images there, at
    least one image each. Images with the same pixels stay on one side of every cut made here.

    Raises:
        DataError: If a class has fewer than 3 images, or too few different ones for the cuts, or if the
            fractions leave nothing to train on.
    """
    if not (select > 0 and test > 0 and select + test < 1):
        raise DataError("select and test must be fractions that leave a part to train", received=(select, test))
    for label, name in enumerate(images.classes):
        count = int(np.count_nonzero(images.labels == label))
        if count < _FEWEST:
            raise DataError(f"class {name!r} needs at least {_FEWEST} usable images", received=count, where=images.root)

    declared = np.array([split or "train" for split in images.declared])
    parts: dict[str, list[int]] = {"train": []}
    cuts: dict[str, float] = {}
    for name, wanted, fraction in (("test", "test", test), ("select", "val", select)):
        parts[name] = np.flatnonzero(declared == wanted).tolist()
        if not parts[name]:
            cuts[name] = fraction

    pool = np.flatnonzero(declared == "train")
    for label in range(len(images.classes)):
        groups = _groups_of_class(images, pool, label)
        if len(groups) <= len(cuts):
            rule = f"class {images.classes[label]!r} has too few different images for {', '.join(('train', *cuts))}"
            raise DataError(rule, received=len(groups), where=images.root, remedy="add images")
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, label])))
        for name, members in _deal(groups, cuts, random).items():
            parts[name] += members
    return Split(**{name: np.sort(np.array(indices, np.int64)) for name, indices in parts.items()})


def _groups_of_class(images: Images, pool: NDArray[np.int64], label: int) -> list[list[int]]:
    """The pool's images in groups of equal pixels; a group belongs to the class of its first image."""
    groups: dict[int, list[int]] = {}
    for index, group in zip(pool.tolist(), images.groups[pool].tolist(), strict=True):
        groups.setdefault(group, []).append(index)
    return [members for members in groups.values() if images.labels[members[0]] == label]


def _deal(groups: list[list[int]], cuts: dict[str, float], random: np.random.Generator) -> dict[str, list[int]]:
    """Deal groups, the large ones first, each to the part that lacks most; none stays empty."""
    total = sum(map(len, groups))
    lacking = {name: max(1, round(fraction * total)) for name, fraction in cuts.items()}
    lacking["train"] = total - sum(lacking.values())
    dealt: dict[str, list[int]] = {name: [] for name in lacking}
    order = sorted(random.permutation(len(groups)).tolist(), key=lambda index: -len(groups[index]))
    for left, index in zip(range(len(order), 0, -1), order, strict=True):
        empty = [name for name in dealt if not dealt[name]]
        name = max(empty if left <= len(empty) else list(lacking), key=lambda part: lacking[part])
        dealt[name] += groups[index]
        lacking[name] -= len(groups[index])
    return dealt
