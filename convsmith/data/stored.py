"""Where the bytes of an image lie: in a file of their own, or in a tar archive that is never unpacked.

A member of an archive has a path like any file, with the archive as its folder: ``shards/train-0001.tar/17.jpg``.
Only regular members count, and a member's name is only ever looked up among the archive's members, so one like
``../x`` or ``/etc/x`` leads to no file. Archives claim what they like; what is believed of them has a limit.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from convsmith.data.listing import shown
from convsmith.errors import DataError

ARCHIVE: Final = ".tar"
MAX_BYTES: Final = 200_000_000
"""Of an image file."""
MAX_MEMBERS: Final = 4_000_000
"""Of one archive; each takes some hundred bytes of memory."""
MAX_HEADER_BYTES: Final = 1 << 20
"""Of one header of an archive: longer names and longer lists of attributes are refused unread."""

_BINARY: Final = getattr(os, "O_BINARY", 0)  # on Windows, which would else change line ends
_KINDS: Final = {
    tarfile.SYMTYPE: "a link", tarfile.LNKTYPE: "a link", tarfile.DIRTYPE: "a folder",
    tarfile.FIFOTYPE: "a pipe", tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device",
}  # fmt: skip


class TooLarge(OSError):
    """A file that is not read because of its size."""

    def __init__(self) -> None:
        super().__init__(f"more than {MAX_BYTES // 10**6} MB")


class Place(NamedTuple):
    """A piece of a file, in bytes."""

    file: str
    offset: int
    size: int


class Contents(NamedTuple):
    """What is in an archive, by name and in order: regular files, and what each of the others is."""

    files: Mapping[str, Place]
    others: Mapping[str, str]


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, or of a member of an archive.

    Raises:
        OSError: If there is no such file or member, it is no regular file (opening a pipe would wait for ever), or it
            has more than ``MAX_BYTES``.
        DataError: If it lies in an archive that is damaged.
    """
    file, offset, size = _locate(os.fspath(path))
    if size > MAX_BYTES:
        raise TooLarge
    # Not open(): making a file object takes longer than reading a small image.
    handle = os.open(file, os.O_RDONLY | _BINARY)
    try:
        if offset:
            os.lseek(handle, offset, os.SEEK_SET)
        content = os.read(handle, size)
        while len(content) < size and (more := os.read(handle, size - len(content))):
            content += more
    finally:
        os.close(handle)
    return content


def _locate(name: str) -> Place | tuple[str, int, int]:
    archive = _archive_of(name)
    if archive:
        found = contents(archive).files.get(name[len(archive) + 1 :])
        if found is None:
            raise OSError(errno.ENOENT, "no such member of the archive", name)
        return found
    status = os.stat(name)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", name)
    return name, 0, status.st_size


def stamps(paths: Iterable[str]) -> list[tuple[int, int]]:
    """Size and modification time of the file, or of the archive, that holds each image; -1 where there is none."""
    archives: dict[str, tuple[int, int]] = {}
    found: list[tuple[int, int]] = []
    for path in paths:
        archive = _archive_of(path, archives)
        if not archive:
            found.append(_stamp(path))
        else:
            if archive not in archives:
                archives[archive] = _stamp(archive)
            found.append(archives[archive])
    return found


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # reading the file gives the reason
        return -1, -1
    return status.st_size, status.st_mtime_ns


def contents(archive: str) -> Contents:
    """What is in an archive. Only headers are read, and once for each state of the file.

    Raises:
        DataError: If it is no tar archive, is compressed, is cut off or has too many members.
    """
    try:
        status = os.stat(archive)
        return _contents(archive, status.st_size, status.st_mtime_ns)
    except (OSError, tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        remedy = "a compressed archive must be decompressed first, a damaged one made again"
        raise DataError(f"cannot read the tar archive: {error}", where=shown(archive), remedy=remedy) from error


@lru_cache(maxsize=2**14)
def _contents(archive: str, size: int, modified: int) -> Contents:
    files: dict[str, Place] = {}
    others: dict[str, str] = {}
    with _Capped(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        for info in _members(tar):
            # Of two members of one name the later counts, as when an archive is unpacked.
            name = info.name.removeprefix("./")
            if not info.isreg() or info.issparse():
                files.pop(name, None)
                others[name] = "a sparse file" if info.issparse() else _KINDS.get(info.type, "no regular file")
            elif info.offset_data + info.size > size:
                raise tarfile.ReadError(f"it ends within {name!r}")
            else:
                others.pop(name, None)
                files[name] = Place(archive, info.offset_data, info.size)
        stream.seek(tar.offset)
        if any(stream.read(tarfile.BLOCKSIZE)):  # tarfile ends quietly there; a sound archive ends in zeros
            raise tarfile.ReadError(f"its header at byte {tar.offset:,} is damaged")
    return Contents(files, others)


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members of an archive, one in memory at a time."""
    last = -1
    for count, info in enumerate(iter(tar.next, None)):
        if count >= MAX_MEMBERS:
            raise tarfile.ReadError(f"it has more than {MAX_MEMBERS:,} members")
        if info.offset <= last or info.size < 0:
            raise tarfile.ReadError("a header leads back to an earlier one")
        last = info.offset
        # Else it keeps them all, a kilobyte each.
        tar.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
        yield info


class _Capped(io.FileIO):
    """A file of which little may be asked at once: tarfile reads a header of any claimed size into memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        return super().read(size) or b""


def _archive_of(path: str, known: Container[str] = ()) -> str:
    """The archive that a path leads into; empty for one that does not."""
    end = path.find(f"{ARCHIVE}/")
    while end >= 0:
        archive = path[: end + len(ARCHIVE)]
        if archive in known or os.path.isfile(archive):  # a folder may have such a name as well
            return archive
        end = path.find(f"{ARCHIVE}/", end + 1)
    return ""
