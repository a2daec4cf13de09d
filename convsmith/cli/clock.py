"""When a command began: its time counts from there, not from when torch was at last imported."""

from __future__ import annotations

import time

_began: float | None = None


def begin() -> None:
    """Note that the process has just started."""
    global _began
    _began = time.monotonic()


def began() -> float:
    """The moment on the monotonic clock; now, where nothing was noted."""
    return time.monotonic() if _began is None else _began
