"""Writing files so that a reader sees the old content or the new, never a half; and where the cache lies.

The order is: write beside the target, flush and fsync, rename over the target, fsync the folder. A folder of files is
put in place in the same way, with a manifest by which a reader tells whether it is as it was written.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Final

from convsmith.errors import RunError

MANIFEST: Final = "manifest.json"
_UNFINISHED: Final = ".tmp"
_REMEDIES: dict[int, str] = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EDQUOT: "free some space or choose another folder",
    errno.EFBIG: "raise the limit on the size of a file or choose another folder",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder that can be written",
    errno.EPERM: "choose a folder that can be written",
    errno.ENOTDIR: "choose a folder, not a file",
    errno.EEXIST: "choose a folder, not a file",
}


def cache_folder() -> Path:
    """``$CONVSMITH_CACHE``, else ``convsmith`` in ``$XDG_CACHE_HOME``, else ``~/.cache/convsmith``."""
    own, base = os.environ.get("CONVSMITH_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(own).expanduser() if own else (Path(base) if base else Path.home() / ".cache") / "convsmith"


@contextlib.contextmanager
def writing(path: Path) -> Generator[None]:
    """Turn an operating system's refusal to write ``path`` into a ``RunError`` that says what to do."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "")
        raise RunError(f"cannot write: {error.strerror or error}", where=str(path), remedy=remedy) from error


def make_folder(path: Path) -> Path:
    """Create ``path`` with its parents and prove that it can be written.

    Raises:
        RunError: If it cannot be created or written.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
        sync_folder(path.parent)
    return path


def free_bytes(folder: Path) -> int:
    """Room left on the disk of ``folder``.

    Raises:
        RunError: If the system does not say.
    """
    with writing(folder):
        return shutil.disk_usage(folder).free


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place in one step.

    Raises:
        RunError: If the disk is full or the folder cannot be written; ``path`` is then as it was.
    """
    with writing(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def write_folder(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    """Write files as a folder that is whole or is not there, with their sizes and hashes in ``manifest.json``.

    A folder that is at ``path`` already is removed first, when the new one is complete.

    Args:
        path: The folder.
        files: Names and contents; only one content is asked for at a time.

    Raises:
        RunError: If the disk is full or the folder cannot be written; the new folder is then not there.
    """
    unfinished = path.with_name(path.name + _UNFINISHED)
    with writing(path):
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            unfinished.mkdir()
            entries: dict[str, dict[str, int | str]] = {}
            for name, content in files:
                _write_synced(unfinished / name, content)
                entries[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            _write_synced(unfinished / MANIFEST, json.dumps({"files": entries}, indent=2).encode())
            sync_folder(unfinished)
            if path.exists():
                remove_folder(path)
            unfinished.replace(path)
            sync_folder(path.parent)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return path


def is_whole(path: Path) -> bool:
    """Whether every file of a folder of :func:`write_folder` is as it was written."""
    try:
        entries = json.loads((path / MANIFEST).read_bytes())["files"].items()
        return all(_matches(path / name, entry["bytes"], entry["sha256"]) for name, entry in entries)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def remove_folder(path: Path) -> None:
    """Remove a folder with its files at once: a process that is killed meanwhile leaves no part of it by that name.

    Raises:
        OSError: If the folder above it cannot be written.
    """
    going = path.with_name(f"{path.name}.old{_UNFINISHED}")
    shutil.rmtree(going, ignore_errors=True)
    path.replace(going)
    shutil.rmtree(going, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed while they wrote or removed folders left in ``folder``."""
    for path in folder.glob(f"*{_UNFINISHED}"):
        shutil.rmtree(path, ignore_errors=True)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _matches(path: Path, size: int, sha256: str) -> bool:
    if path.stat().st_size != size:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == sha256


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 text atomically; what UTF-8 cannot say, as names of files may hold it, is escaped."""
    return write_atomically(path, lambda target: target.write_text(text, encoding="utf-8", errors="backslashreplace"))


def write_json(path: Path, value: object) -> Path:
    """Write a JSON document atomically, readable and with a final newline."""
    return write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def json_line(value: object) -> str:
    """A JSON document in a line that UTF-8 can say: names of files may hold what it cannot, and that is escaped."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace").decode()


def sync_folder(folder: Path) -> None:
    """Wait until the names in ``folder`` are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
