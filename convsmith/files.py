"""Writing files so that a reader sees the old content or the new, never a half; and where the cache lies.

The order is: write beside the target, flush and fsync, rename over the target, fsync the folder.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

from convsmith.errors import RunError

_REMEDIES: dict[int, str] = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EDQUOT: "free some space or choose another folder",
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
    return path


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
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 text atomically."""
    return write_atomically(path, lambda target: target.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: object) -> Path:
    """Write a JSON document atomically, readable and with a final newline."""
    return write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
