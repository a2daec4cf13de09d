"""Where the bytes of an image lie: in a file of their own, or in a tar archive that is never unpacked.

A member of an archive has a path like any file, with the archive as its folder: ``shards/train-0001.tar/17.jpg``.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from convsmith.data.listing import shown
from convsmith.errors import DataError

ARCHIVE: Final = ".tar"


class Place(NamedTuple):
    """A piece of a file, in bytes."""

    file: str
    offset: int
    size: int


def locate(path: str | os.PathLike[str]) -> Place:
    """Find the bytes of a path.

    Raises:
        OSError: If there is no such file or member, or it is no regular file; opening a pipe would wait for ever.
        DataError: If it lies in an archive that is damaged.
    """
    name = os.fspath(path)
    archive = _archive_of(name)
    if archive:
        found = members(archive).get(name[len(archive) + 1 :])
        if found is None:
            raise OSError(errno.ENOENT, "no such member of the archive", name)
        return found
    status = os.stat(name)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", name)
    return Place(name, 0, status.st_size)


def stamp(path: str) -> tuple[int, int]:
    """Size and modification time of the file, or of the archive, that holds an image; -1 where there is none."""
    try:
        status = os.stat(_archive_of(path) or path)
    except (OSError, ValueError):  # reading the file gives the reason
        return -1, -1
    return status.st_size, status.st_mtime_ns


def members(archive: str) -> Mapping[str, Place]:
    """The regular files in an archive by name, in order. Only headers are read, and once for each state of the file.

    Raises:
        DataError: If it is no tar archive, is compressed or is cut off.
    """
    try:
        status = os.stat(archive)
        return _members(archive, status.st_size, status.st_mtime_ns)
    except (OSError, tarfile.TarError) as error:
        remedy = "a compressed archive must be decompressed first, a damaged one made again"
        raise DataError(f"cannot read the tar archive: {error}", where=shown(archive), remedy=remedy) from error


@lru_cache(maxsize=2**14)
def _members(archive: str, size: int, modified: int) -> Mapping[str, Place]:
    with tarfile.open(archive, "r:") as tar:
        files = {
            info.name.removeprefix("./"): Place(archive, info.offset_data, info.size)
            for info in tar
            if info.isreg() and not info.issparse()
        }
    cut = next((name for name, place in files.items() if place.offset + place.size > size), None)
    if cut is not None:
        raise tarfile.ReadError(f"it ends within {cut!r}")
    return files


def _archive_of(path: str) -> str:
    """The archive that a path leads into; empty for one that does not."""
    end = path.find(f"{ARCHIVE}/")
    while end >= 0:
        archive = path[: end + len(ARCHIVE)]
        if os.path.isfile(archive):  # a folder may have such a name as well
            return archive
        end = path.find(f"{ARCHIVE}/", end + 1)
    return ""
