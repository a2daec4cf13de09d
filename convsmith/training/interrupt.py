"""Ctrl-C and SIGTERM that wait for the step to finish.

A stop in the middle of an optimizer step would leave half of the weights updated, and a checkpoint of that is
worthless. The first signal is therefore held back until the loop asks; a second one acts at once.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from convsmith.errors import Terminated

_STOPS: Final[dict[int, type[KeyboardInterrupt]]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
_DEFAULTS: Final = (signal.default_int_handler, signal.SIG_DFL)


@contextlib.contextmanager
def held_signals() -> Iterator[Callable[[], None]]:
    """Hold back the first Ctrl-C or SIGTERM; the function given raises it, when called, as an exception.

    It is ``KeyboardInterrupt``, or ``Terminated``, which is one too. Only in the main thread, where signals arrive, and
    only signals for which the application has no handler of its own.
    """
    ours = threading.current_thread() is threading.main_thread()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _STOPS} if ours else {}
    before = {number: handler for number, handler in before.items() if handler in _DEFAULTS}
    received: list[int] = []

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def hold(number: int, frame: object) -> None:
        received.append(number)
        put_back()

    def release() -> None:
        if received:
            raise _STOPS[received[0]]

    for number in before:
        signal.signal(number, hold)
    try:
        yield release
        release()
    finally:
        put_back()
