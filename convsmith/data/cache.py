"""Folders of the user's cache that are either complete or absent, however the building of one ends.

An entry is built in a hidden folder beside its place and renamed into it in one step, so a crash, a full
disk or Ctrl-C leaves nothing that could be read, and of two processes that build at once one wins.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from convsmith.data.listing import Listing, shown
from convsmith.data.stored import stamps
from convsmith.errors import DataError
from convsmith.files import make_folder, writing

FORMAT_VERSION: Final = 2
"""Part of every key: it changes with the form of the files and with any change to the pixels that decoding gives."""


def check_outside(folder: Path, source: Path) -> None:
    """Refuse a cache below the user's images.

    Raises:
        DataError: If ``folder`` lies in ``source``, which is never written to.
    """
    if folder.resolve().is_relative_to(source.resolve()):
        raise DataError("the cache must not lie in the image folder", where=shown(folder), remedy="set CONVSMITH_CACHE")


def cache_key(listing: Listing, side: int | None, channels: int | None) -> str:
    """A digest of the request and of every image's path, label, split, and its file's size and modification time."""
    paths, labels, splits = ([getattr(item, name) for item in listing.items] for name in ("path", "label", "split"))
    rejected = [(entry.path, entry.reason) for entry in listing.rejected]
    parts = (FORMAT_VERSION, listing.root, listing.classes, paths, labels, splits, rejected, side, channels)
    digest = hashlib.sha256(json.dumps(parts).encode())
    digest.update(np.array(stamps([os.path.join(listing.root, path) for path in paths]), "<i8").tobytes())
    return digest.hexdigest()[:32]


def build_entry(folder: Path, key: str, fill: Callable[[Path], None]) -> Path:
    """Let ``fill`` write an entry's files and put them in place together.

    Returns the entry's folder; where another process was first, that is the other's.

    Raises:
        RunError: If the cache cannot be written; nothing is then left behind.
    """
    make_folder(folder)
    entry = folder / key
    with writing(folder):
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=f".{key}."))
        try:
            fill(temporary)
            _put_in_place(temporary, entry)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return entry


def _put_in_place(temporary: Path, entry: Path) -> None:
    try:
        temporary.rename(entry)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
