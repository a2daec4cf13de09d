"""Ctrl-C that waits for the step to finish.

An interrupt in the middle of an optimizer step would leave half of the weights updated, and a checkpoint of that is
worthless. The first Ctrl-C is therefore held back until the loop asks; a second one acts at once.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def held_interrupt() -> Iterator[Callable[[], None]]:
    """Hold back the first Ctrl-C; the function given raises it as ``KeyboardInterrupt`` when called.

    Only in the main thread, where signals arrive, and only where the application has no handler of its own.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: None
        return
    received: list[int] = []

    def hold(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def release() -> None:
        if received:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, hold)
    try:
        yield release
        release()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
