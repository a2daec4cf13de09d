"""One process at a time: a lock on a file that the system takes back from a dead process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, Final

from convsmith.files import writing

_TRIES: Final = 10
_WAIT: Final = 0.05  # seconds; ``holder`` takes the lock for a moment


@contextlib.contextmanager
def claimed(path: Path) -> Generator[bool]:
    """Take the lock to the end of the block; gives whether it could be had.

    The file stays and says who had it last. Where a file system has no locks, everybody gets it.

    Raises:
        RunError: If the file cannot be written.
    """
    with writing(path):
        stream = path.open("a+b")
    with stream:
        mine = _taken(stream, fcntl.LOCK_EX, _TRIES)
        if mine:
            stream.truncate(0)
            stream.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
            stream.flush()
        yield mine


def holder(path: Path) -> str:
    """Who has the lock, or nothing where it is free."""
    try:
        with path.open("rb") as stream:
            return "" if _taken(stream, fcntl.LOCK_SH, 1) else stream.read().decode(errors="replace") or "unknown"
    except OSError:
        return ""


def _taken(stream: BinaryIO, kind: int, tries: int) -> bool:
    for number in range(tries):
        if number:
            time.sleep(_WAIT)
        try:
            fcntl.flock(stream, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except OSError:  # no locks here
            pass
        return True
    return False
