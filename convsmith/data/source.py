"""Where images come from: the one function that turns what the user named into a listing."""

from __future__ import annotations

import os
from pathlib import Path

from convsmith.data.folder import list_folder
from convsmith.data.listing import Item, Listing, shown
from convsmith.data.manifest import list_manifest
from convsmith.data.named import NAMED_SETS, load_named
from convsmith.data.shards import find_shards, list_shards
from convsmith.data.stored import ARCHIVE
from convsmith.errors import DataError


def list_images(source: str | Path) -> Listing:
    """List the labelled images of a source, without opening any.

    Args:
        source: A folder of class folders; the same below ``train``, ``val`` (``valid``, ``validation``) and
            ``test``; a CSV manifest; a tar archive, or a folder of them, with labels beside the images (see
            ``shards``); or the name of a named set (write ``./digits`` for a folder of that name).

    Raises:
        DataError: If the source is missing, is none of these, or holds fewer than two classes with images.
    """
    if source in NAMED_SETS:
        return _list_named(str(source))
    path = Path(source).expanduser().absolute()
    if os.path.isdir(path):  # unlike pathlib's, it says no to a name that is too long
        shards = find_shards(str(path))
        return list_shards(path, shards) if shards else list_folder(path)
    remedy = f"give a folder of class folders, a CSV manifest, tar archives or one of {', '.join(NAMED_SETS)}"
    if not os.path.exists(path):
        raise DataError("no such file or folder", where=shown(path), remedy=remedy)
    if path.suffix.lower() == ARCHIVE:
        return list_shards(path.parent, [str(path)])
    if path.suffix.lower() != ".csv":
        raise DataError("not a source of images", where=shown(path), remedy=remedy)
    return list_manifest(path)


def _list_named(name: str) -> Listing:
    """The listing of a named set; its paths are ``name/0``, ``name/1``, ... and name no file."""
    data = load_named(name)
    rows = zip(data.names, data.labels.tolist(), data.declared, strict=True)
    return Listing(name, data.classes, tuple(Item(*row) for row in rows))
