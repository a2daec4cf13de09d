"""Filling a cache entry: every image of a listing is read, decoded and brought to one frame, on all cores.

Rows are appended to an ordinary file and never written through a memory map: on a full disk the first
raises an error that can be told to the user, the second kills the process.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from convsmith.data.decode import Unreadable, convert_channels, read_header, read_image
from convsmith.data.frame import Frame, choose_frame
from convsmith.data.listing import Item, Listing, Rejected, shown
from convsmith.data.resample import resize
from convsmith.errors import DataError
from convsmith.files import write_text
from convsmith.processor import available_threads

PIXELS: Final = "pixels.npy"
FACTS: Final = "images.json"

_T = TypeVar("_T")
_TASK: Final = 8  # images a thread takes at a time: handing over one small image costs as much as decoding it
_BATCH: Final = 1024
_BATCH_BYTES: Final = 1 << 28
_MOST_UNREADABLE: Final = 0.5
_REASONS_SHOWN: Final = 3


@dataclass(frozen=True)
class Facts:
    """Everything about a built set but its pixels, as stored beside them; see ``Images``."""

    root: str
    classes: tuple[str, ...]
    items: tuple[Item, ...]
    hashes: tuple[int, ...]
    rejected: tuple[Rejected, ...]
    frame: Frame
    digest: str

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the pixels that belong to these facts."""
        return len(self.items), self.frame.side, self.frame.side, self.frame.channels

    def to_json(self) -> str:
        """As JSON in ASCII, which keeps file names that are not valid UTF-8."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Facts:
        """Read what ``to_json`` wrote; KeyError, TypeError or ValueError if it is something else."""
        stored = json.loads(text)
        return Facts(
            root=stored["root"],
            classes=tuple(stored["classes"]),
            items=tuple(Item(**item) for item in stored["items"]),
            hashes=tuple(stored["hashes"]),
            rejected=tuple(Rejected(**entry) for entry in stored["rejected"]),
            frame=Frame(**stored["frame"]),
            digest=stored["digest"],
        )


def bring_to(frame: Frame, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One decoded image (H, W, C) as (side, side, channels) uint8, contiguous."""
    return np.ascontiguousarray(resize(convert_channels(image, frame.channels), frame.side, frame.fit))


def pixel_hash(row: NDArray[np.uint8]) -> int:
    """64 bits that tell images with different pixels apart, as a signed integer."""
    return int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little", signed=True)


class Digest:
    """SHA-256 over pixels (as their rows come), then labels, then classes and shape."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, rows: NDArray[np.uint8]) -> None:
        """Add the pixels of one or more images."""
        self._hash.update(rows.tobytes())

    def finish(self, items: Sequence[Item], classes: Sequence[str], frame: Frame) -> str:
        """Add the rest and give the digest in hex."""
        self._hash.update(np.array([item.label for item in items], "<i8").tobytes())
        self._hash.update(json.dumps([list(classes), len(items), frame.side, frame.channels]).encode())
        return self._hash.hexdigest()


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
    with ThreadPoolExecutor(available_threads()) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        headers = list(_on_files(pool, read_header, listing.root, listing.items, _BATCH))
        rejected = [Rejected(item.path, error.reason) for item, error in headers if isinstance(error, Unreadable)]
        _check_losses(listing, rejected)
        frame = choose_frame([header for _, header in headers if not isinstance(header, Unreadable)], side, channels)
        candidates = [item for item, header in headers if not isinstance(header, Unreadable)]
        batch = max(1, min(_BATCH, _BATCH_BYTES // (frame.side * frame.side * frame.channels)))
        rows = _on_files(pool, partial(_read_row, frame=frame), listing.root, candidates, batch)
        items: list[Item] = []
        hashes: list[int] = []
        digest = Digest()
        with (folder / PIXELS).open("wb") as stream:
            _write_header(stream, 0, frame)
            for done, (item, row) in enumerate(rows, start=1):
                if isinstance(row, Unreadable):
                    rejected.append(Rejected(item.path, row.reason))
                else:
                    stream.write(row.tobytes())
                    digest.update(row)
                    hashes.append(pixel_hash(row))
                    items.append(item)
                if progress:
                    progress(done, len(candidates))
            _write_header(stream, len(items), frame)
            stream.flush()
            os.fsync(stream.fileno())
    _check_losses(listing, rejected)
    facts = Facts(
        root=listing.root,
        classes=listing.classes,
        items=tuple(items),
        hashes=tuple(hashes),
        rejected=(*listing.rejected, *rejected),
        frame=frame,
        digest=digest.finish(items, listing.classes, frame),
    )
    write_text(folder / FACTS, facts.to_json())


def _on_files(
    pool: ThreadPoolExecutor, read: Callable[[str], _T], root: str, items: Sequence[Item], batch: int
) -> Iterator[tuple[Item, _T | Unreadable]]:
    """Read each item's file on the pool, in order, with at most ``batch`` results waiting in memory."""

    def attempt(task: Sequence[Item]) -> list[_T | Unreadable]:
        return [_read_or_reason(read, os.path.join(root, item.path)) for item in task]

    for start in range(0, len(items), batch):
        end = min(start + batch, len(items))
        tasks = [items[place : min(place + _TASK, end)] for place in range(start, end, _TASK)]
        for task, results in zip(tasks, pool.map(attempt, tasks), strict=True):
            yield from zip(task, results, strict=True)


def _read_or_reason(read: Callable[[str], _T], path: str) -> _T | Unreadable:
    try:
        return read(path)
    except Unreadable as error:
        return error.with_traceback(None)


def _read_row(path: str, frame: Frame) -> NDArray[np.uint8]:
    return bring_to(frame, read_image(path))


def _write_header(stream: IO[bytes], count: int, frame: Frame) -> None:
    """Write the .npy header at the start; NumPy pads it, so that one for another count is as long."""
    stream.seek(0)
    shape = (count, frame.side, frame.side, frame.channels)
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})


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
