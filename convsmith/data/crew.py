"""A function of a number, worked out for many numbers on all cores, its results given in order.

On Linux the work is done by forked processes. Threads were measured first: for images of 32 pixels a second one made
the work take twice as long, since decoding one is over before the interpreter's lock has changed hands. A fork costs
milliseconds, and the kernel's pipes are the only queue: a worker ends when the one at their other end is gone, and
what it left undone when it was killed is done there. Elsewhere forking is not safe, and threads do the work.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import struct
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NoReturn

try:
    import fcntl
except ImportError:  # there is none on Windows, and no fork either
    fcntl = None

Parts = Sequence[bytes | bytearray | memoryview]

_COUNT: Final = struct.Struct("<Q")
_PIPE_BYTES: Final = 1 << 20
_GIVEN: Final = 2  # numbers that a worker has at a time, so that it need not wait for the next
_AHEAD: Final = 6  # numbers for each worker that may be done before their turn
FORKS: Final = sys.platform == "linux"


def in_order(work: Callable[[int], Parts], count: int, workers: int, *, fork: bool = FORKS) -> Generator[Parts]:
    """Results of ``work`` for 0 to ``count - 1``, in order; a few of them at a time are in memory.

    Args:
        work: Gives some bytes-like parts; must depend on its argument alone.
        count: How often to call it.
        workers: How many calls go on at once; with one, they are made here.
        fork: Whether by processes, or by threads.
    """
    if workers <= 1:
        yield from map(work, range(count))
    else:
        yield from (_forked if fork else _threaded)(work, count, workers)


def _threaded(work: Callable[[int], Parts], count: int, workers: int) -> Iterator[Parts]:
    waiting: deque[Future[Parts]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for number in range(count):
            waiting.append(pool.submit(work, number))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _forked(work: Callable[[int], Parts], count: int, workers: int) -> Iterator[Parts]:
    held: dict[int, Parts] = {}
    with contextlib.ExitStack() as stack:
        crew: list[_Worker] = []
        with contextlib.suppress(OSError):  # beyond what the system grants: the fewer, or none, do the work
            while len(crew) < workers:
                crew.append(stack.enter_context(_worker(work)))
        given = 0
        for number in range(count):
            while number not in held:
                for worker in crew:
                    # A slow worker must not make the others fill memory with what comes after its own.
                    while len(worker.busy) < _GIVEN and given < min(count, number + workers * _AHEAD):
                        worker.give(given)
                        given += 1
                for worker in _ready(crew):
                    parts = worker.receive()
                    if parts is None:  # killed, or it failed: here the reason shows
                        crew.remove(worker)
                        held.update((lost, work(lost)) for lost in worker.busy)
                    else:
                        held[worker.busy.popleft()] = parts
                if not crew and number not in held:
                    held[number] = work(number)
                    given = max(given, number + 1)
            yield held.pop(number)


class _Worker:
    """A process at the other end of two pipes: numbers go to it, results come back in the order of the numbers."""

    def __init__(self, tasks: int, results: int) -> None:
        self._tasks = tasks
        self._results = results
        self.busy: deque[int] = deque()

    def fileno(self) -> int:
        """The handle to wait at."""
        return self._results

    def give(self, number: int) -> None:
        """Ask for a result; whether the worker still lives shows when it is received."""
        self.busy.append(number)
        with contextlib.suppress(BrokenPipeError):
            os.write(self._tasks, _COUNT.pack(number))

    def receive(self) -> Parts | None:
        """The next result; None if the worker ended before it was complete."""
        try:
            return [self._read(self._count()) for _ in range(self._count())]
        except EOFError:
            return None

    def _count(self) -> int:
        return _COUNT.unpack(self._read(_COUNT.size))[0]

    def _read(self, size: int) -> bytearray:
        """Not through a buffer, whose content ``poll`` would not see."""
        found = bytearray(size)
        rest = memoryview(found)
        while rest:
            got = os.readv(self._results, [rest])
            if not got:
                raise EOFError
            rest = rest[got:]
        return found


def _ready(crew: list[_Worker]) -> list[_Worker]:
    """Those of the crew that have a result or have ended; waits for the first."""
    busy = {worker.fileno(): worker for worker in crew if worker.busy}
    poll = select.poll()  # unlike select, it takes handles of any number
    for handle in busy:
        poll.register(handle, select.POLLIN)
    return [busy[handle] for handle, _ in poll.poll()] if busy else []


@contextlib.contextmanager
def _worker(work: Callable[[int], Parts]) -> Iterator[_Worker]:
    """A process that works; it is ended on leaving."""
    (asking, giving), (taking, answering) = os.pipe(), os.pipe()
    if fcntl is not None:
        with contextlib.suppress(OSError):  # beyond what the system grants
            fcntl.fcntl(answering, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    process = 0
    try:
        # Ctrl-C goes to all of a terminal's processes. A worker never hears it, not even in its first moment.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            process = os.fork()
            if process == 0:
                _serve(work, asking, answering, (giving, taking))
        finally:  # which a worker never comes to
            os.close(asking)
            os.close(answering)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield _Worker(giving, taking)
    finally:
        os.close(giving)
        os.close(taking)
        if process:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _serve(work: Callable[[int], Parts], tasks: int, results: int, others: tuple[int, int]) -> NoReturn:
    """The life of a worker; whatever happens, it ends without a word and without running anything else's clean-up."""
    try:
        for handle in others:  # of the pipes' other ends: else it would keep itself alive
            os.close(handle)
        gc.freeze()  # else a collection would touch, and so copy, all that it shares with its parent
        with open(results, "wb") as stream:
            while task := os.read(tasks, _COUNT.size):
                parts = work(_COUNT.unpack(task)[0])
                stream.write(_COUNT.pack(len(parts)))
                for part in parts:
                    stream.write(_COUNT.pack(len(part)))
                    stream.write(part)
                stream.flush()
    finally:
        os._exit(0)
