"""Filling a cache entry: every image of a listing is read once, decoded and brought to one frame, on all cores.

The frame depends on all headers, yet no file is read twice: it is guessed from some of them, and only where all of
them turn out to say something else is the work done again. Each block of images is a function of its files alone and
blocks are written in the order of the listing, so the number of workers leaves no trace.

Where the time goes (``benchmarks/cache.py``), for JPEG files of 32 pixels, in microseconds each: 2 to list it, 3 for
its part of the key, 4 to read it, 2 for its header, 8 to decode it, 2 to hash it, 8 for the steps between; Pillow takes
110 in all, fifty to open the file alone. Of a photograph of 500 x 375 two thirds of the time is Huffman decoding.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from convsmith.data.crew import Parts, in_order
from convsmith.data.decode import Unreadable, read_content, read_header
from convsmith.data.facts import FACTS, Facts, pixel_digest
from convsmith.data.frame import Frame, choose_frame
from convsmith.data.listing import Item, Listing, Rejected, shown
from convsmith.data.pixel_file import PixelWriter
from convsmith.data.square import square
from convsmith.errors import DataError
from convsmith.files import write_text
from convsmith.processor import available_threads

PIXELS: Final = "pixels.npy"

_BLOCK: Final = 128  # images a worker takes at a time: handing over one small image costs more than decoding it
_BLOCK_BYTES: Final = 1 << 20  # of files
_BLOCK_PIXELS: Final = 1 << 22
_BLOCKS: Final = 8  # at least so many for each worker, where there are images enough
_SAMPLE: Final = 256
_MOST_UNREADABLE: Final = 0.5
_REASONS_SHOWN: Final = 3


class _Found(NamedTuple):
    """What reading the images came to, but for their pixels; ``shapes`` and ``digests`` are those of ``items``."""

    items: list[Item]
    shapes: bytearray
    digests: bytearray
    rejected: list[Rejected]

    def frame(self, side: int | None, channels: int | None) -> Frame:
        """The frame by the headers of all images that could be read."""
        return choose_frame(np.frombuffer(self.shapes, np.int32).reshape(-1, 3), side, channels)


def write_entry(
    folder: Path,
    listing: Listing,
    side: int | None,
    channels: int | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write the pixels and the facts of a listing into ``folder``.

    Raises:
        DataError: If over half of the images cannot be read, or all of a class.
        OSError: If the disk is full.
    """
    # Pillow warns of oddities; each image is either decoded or listed as rejected, and nothing else is said.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        guess, file_size = _sample(listing, side, channels)
        built = _write_pixels(folder / PIXELS, listing, guess, file_size, progress)
        frame = built.frame(side, channels)
        if (frame.side, frame.channels, frame.fit) != (guess.side, guess.channels, guess.fit):
            built = _write_pixels(folder / PIXELS, listing, frame, file_size, progress)
    rejected = (*listing.rejected, *built.rejected)
    facts = Facts.of(listing.root, listing.classes, built.items, rejected, frame, built.digests)
    write_text(folder / FACTS, facts.to_json())


def _sample(listing: Listing, side: int | None, channels: int | None) -> tuple[Frame, int]:
    """The frame as some images, spread evenly, would have it, and the mean size of their files in bytes."""
    places = np.unique(np.linspace(0, len(listing.items) - 1, _SAMPLE).astype(np.int64)).tolist()
    shapes: list[tuple[int, ...]] = []
    size = 0
    for place in places:
        try:
            content = read_content(os.path.join(listing.root, listing.items[place].path))
            size += len(content)
            shapes.append(read_header(content)[:3])
        except Unreadable:
            continue
    return choose_frame(np.array(shapes or [(1, 1, 3)]), side, channels), max(1, size // len(places))


def _write_pixels(
    path: Path, listing: Listing, frame: Frame, file_size: int, progress: Callable[[int, int], None] | None
) -> _Found:
    """Write the pixels of all images; everything else of them is returned.

    Raises:
        DataError: If over half of the images cannot be read, or all of a class.
    """
    total, threads = len(listing.items), available_threads()
    shape = (frame.side, frame.side, frame.channels)
    most = (_BLOCK, _BLOCK_BYTES // file_size, _BLOCK_PIXELS // int(np.prod(shape)), total // (_BLOCKS * threads))
    size = max(1, min(most))
    blocks = in_order(
        lambda number: _read_block(listing.root, listing.items[number * size : (number + 1) * size], frame),
        count=-(-total // size),
        workers=threads if total >= threads * _BLOCKS else 1,
    )
    found = _Found([], bytearray(), bytearray(), [])
    with path.open("wb") as stream, contextlib.closing(blocks):
        writer = PixelWriter(stream, shape)
        for start, (rows, digests, shapes, reasons) in zip(range(0, total, size), blocks, strict=True):
            writer.append(rows)
            found.digests.extend(digests)
            found.shapes.extend(shapes)
            _sort_out(found, listing.items[start : start + size], json.loads(bytes(reasons)))
            if progress:
                progress(min(start + size, total), total)
        writer.finish()
    _check_losses(listing, found.rejected)
    return found


def _read_block(root: str, items: Sequence[Item], frame: Frame) -> Parts:
    """Pixels, digests and shapes (int32) of the readable ones; as JSON by their places why the others are not."""
    side, channels, fit = frame.side, frame.channels, frame.fit
    rows = np.empty((len(items), side, side, channels), np.uint8)
    shapes: list[tuple[int, ...]] = []
    reasons: dict[int, str] = {}
    for place, item in enumerate(items):
        try:
            rows[len(shapes)], header = square(read_content(os.path.join(root, item.path)), side, channels, fit)
            shapes.append(header[:3])
        except Unreadable as error:
            reasons[place] = error.reason
    rows = rows[: len(shapes)]
    digests = b"".join(map(pixel_digest, rows))
    return rows.reshape(-1).data, digests, np.array(shapes, np.int32).tobytes(), json.dumps(reasons).encode()


def _sort_out(found: _Found, items: Sequence[Item], reasons: dict[str, str]) -> None:
    """Part the images of a block into those read and those left out."""
    if not reasons:
        found.items.extend(items)
        return
    for place, item in enumerate(items):
        reason = reasons.get(str(place))
        if reason is None:
            found.items.append(item)
        else:
            found.rejected.append(Rejected(item.path, reason))


def _check_losses(listing: Listing, rejected: Sequence[Rejected]) -> None:
    reasons = ", ".join(f"{shown(entry.path)}: {entry.reason}" for entry in rejected[:_REASONS_SHOWN])
    total = len(listing.items)
    if len(rejected) > _MOST_UNREADABLE * total:
        rule = f"{len(rejected)} of {total} images cannot be read ({reasons})"
        raise DataError(rule, where=shown(listing.root), remedy="repair or remove them")
    lost = {entry.path for entry in rejected}
    living = {item.label for item in listing.items if item.path not in lost}
    for label, name in enumerate(listing.classes):
        if label not in living:
            count = sum(item.label == label for item in listing.items)
            rule = f"none of the {count} images of class {name!r} can be read ({reasons})"
            raise DataError(rule, where=shown(listing.root), remedy="repair them or remove the class")
