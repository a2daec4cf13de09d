"""Memory that a training step frees and the next one asks for again, kept in the process.

A training step makes and frees its maps, some megabytes each. glibc gives such pieces back to the system, and the next
step gets them page by page, each page filled with zeros first.
"""

from __future__ import annotations

import contextlib
import ctypes
import platform
from collections.abc import Iterator
from typing import Final

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4  # malloc.h
_KEEP: Final = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**26}
_DEFAULTS: Final = {_MMAP_MAX: 65_536, _TRIM_THRESHOLD: 2**17, _TOP_PAD: 2**17, _MMAP_THRESHOLD: 2**17}


@contextlib.contextmanager
def memory_kept() -> Iterator[None]:
    """Keep freed memory for the next step; afterwards it goes back, and glibc's defaults hold again."""
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    glibc = ctypes.CDLL(None)
    _set(glibc, _KEEP)
    try:
        yield
    finally:
        _set(glibc, _DEFAULTS)
        glibc.malloc_trim(0)


def _set(glibc: ctypes.CDLL, options: dict[int, int]) -> None:
    for option, value in options.items():
        glibc.mallopt(option, value)
