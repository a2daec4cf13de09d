"""Labelled images as one array: decoded once, all of one size, ready to be indexed by a training.

The pixels lie in the user's cache as a memory map, so a set larger than memory works and the second start
takes no time: what is chosen by index is a view (``rows``), other resolutions are made from the one that was decoded
(``at``). Images that cannot be read are left out here, before any split, and are listed with reasons.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convsmith.data.build import PIXELS, write_entry
from convsmith.data.cache import build_entry, cache_key, check_outside
from convsmith.data.decode import convert_channels
from convsmith.data.derived import derive
from convsmith.data.facts import FACTS, Facts, pixel_digest
from convsmith.data.frame import Frame, check_request, choose_frame
from convsmith.data.listing import Item, Rejected
from convsmith.data.named import NAMED_SETS, NamedImages, load_named
from convsmith.data.pixel_file import read_pixels
from convsmith.data.resample import Fit, resize
from convsmith.data.rows import Pixels, Rows
from convsmith.data.source import list_images
from convsmith.files import cache_folder

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images of one size.

    Attributes:
        root: The folder that ``names`` are relative to, or the name of a named set.
        pixels: (N, side, side, channels) uint8, read-only.
        labels: (N,) int64, indices into ``classes``.
        classes: Class names.
        names: The path of each image, relative to ``root``; a named set's names are no files.
        declared: ``"train"``, ``"val"``, ``"test"`` or None for each image.
        groups: (N,) int64; images with the same pixels share a number, the index of the first of them.
        rejected: Files left out, with reasons.
        leaks: Images declared val or test whose very pixels also stand under another declared split.
        digest: SHA-256 of pixels, labels and classes, in hex.
        side: Height and width in pixels.
        channels: 1 or 3.
        fit: How images that are not square became so.
        native: Median shorter side of the original images, in pixels.
        folder: The cache entry, where the pixels lie in one.
    """

    root: str
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    declared: tuple[str | None, ...]
    groups: NDArray[np.int64]
    rejected: tuple[Rejected, ...]
    leaks: int
    digest: str
    side: int
    channels: int
    fit: Fit
    native: int
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, resolution: int) -> Pixels:
        """All images at another resolution, as ``resample`` gives them, to be looked at again and again.

        They are in memory where they take little of what is free, and else in a file in the cache entry that is made
        once and read through a memory map.

        Raises:
            RunError: If the file cannot be written.
        """
        return self.pixels if resolution == self.side else derive(self.pixels, resolution, self.folder)

    def rows(self, indices: NDArray[np.int64], resolution: int | None = None) -> Rows:
        """The images at ``indices``, none of which is read, or resampled, before it is asked for."""
        return Rows(self.pixels, indices, resolution)


def open_images(
    source: str | Path,
    *,
    side: int | None = None,
    channels: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Images:
    """Open the images of a source, decoding them into the cache if that has not been done yet.

    Every image is read and decoded once, on all cores (twice in the rare case that the size, the channels or the
    fit, which may depend on all images, are not what a sample of them said). The cache is keyed by the files' paths,
    sizes and modification times, and is rebuilt when one changes. Named sets are small and come from memory, without
    a cache.

    Args:
        source: What ``list_images`` accepts.
        side: Height and width wanted, 1 to 4096; by default chosen from the data (see ``choose_frame``).
        channels: 1 or 3; by default 1 if every image is grey.
        cache: Folder to use in place of the user's cache folder.
        progress: Called with (done, total) after every few images, and from the start where it is done again.

    Raises:
        DataError: If the source cannot be used, over half of its images cannot be read, or a class is emptied.
        RunError: If the cache cannot be written.
    """
    check_request(side, channels)
    if source in NAMED_SETS:
        return _from_memory(str(source), load_named(str(source)), side, channels)
    listing = list_images(source)
    folder = cache or cache_folder()
    if os.path.isdir(source):
        check_outside(folder, Path(source))
    key = cache_key(listing, side, channels)
    images = _read_entry(folder / key)
    if images is None:
        shutil.rmtree(folder / key, ignore_errors=True)  # damaged after it was built
        fill = partial(write_entry, listing=listing, side=side, channels=channels, progress=progress)
        images = _read_entry(build_entry(folder, key, fill))
        assert images is not None, "an entry that was just built must be readable"
    return images


def _read_entry(entry: Path) -> Images | None:
    """Read a cache entry; None if it is absent or damaged."""
    try:
        facts = Facts.from_json((entry / FACTS).read_text(encoding="ascii"))
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return None
    pixels = read_pixels(entry / PIXELS, facts.shape)
    return None if pixels is None else _assemble(facts, pixels, entry)


def _from_memory(name: str, data: NamedImages, side: int | None, channels: int | None) -> Images:
    frame = choose_frame(np.array([data.pixels.shape[1:]]), side, channels)
    pixels = np.stack([_bring_to(frame, image) for image in data.pixels])
    pixels.flags.writeable = False
    rows = zip(data.names, data.labels.tolist(), data.declared, strict=True)
    items = [Item(*row) for row in rows]
    facts = Facts.of(name, data.classes, items, (), frame, b"".join(map(pixel_digest, pixels)))
    return _assemble(facts, pixels, None)


def _bring_to(frame: Frame, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One image (H, W, C) as (side, side, channels) uint8."""
    return resize(convert_channels(image, frame.channels), frame.side, frame.fit)


def _assemble(facts: Facts, pixels: NDArray[np.uint8], folder: Path | None) -> Images:
    _, first, inverse = np.unique(facts.hashes, return_index=True, return_inverse=True)
    groups = first[inverse]
    return Images(
        root=facts.root,
        pixels=pixels,
        labels=facts.labels,
        classes=facts.classes,
        names=facts.paths,
        declared=facts.splits,
        groups=groups,
        rejected=facts.rejected,
        leaks=_count_leaks(facts.splits, groups),
        digest=facts.digest,
        side=facts.frame.side,
        channels=facts.frame.channels,
        fit=facts.frame.fit,
        native=facts.frame.native,
        folder=folder,
    )


def _count_leaks(declared: tuple[str | None, ...], groups: NDArray[np.int64]) -> int:
    if not any(declared):
        return 0
    splits: dict[int, set[str]] = {}
    of_train = [split or "train" for split in declared]
    for group, split in zip(groups.tolist(), of_train, strict=True):
        splits.setdefault(group, set()).add(split)
    return sum(
        split != "train" and len(splits[group]) > 1 for group, split in zip(groups.tolist(), of_train, strict=True)
    )
