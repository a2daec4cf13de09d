"""How long one image takes on this machine.

Networks that are compared take turns, a few runs each, so that what disturbs a machine disturbs them alike. Of a run
on one thread the processor's time counts, and runs that were interrupted are left out, as in ``stopwatch``.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convsmith.deploy.stopwatch import DISTURBED
from convsmith.interop.onnx_file import run_onnx

REPEATS: Final = 50
_TURN: Final = 5
_LEAST_KEPT: Final = 0.25
_MOST: Final = 40


@dataclasses.dataclass(frozen=True)
class Latency:
    """Milliseconds for a batch of one, over ``repeats`` runs.

    Attributes:
        typical_ms: Mean of the lower quarter, as in ``stopwatch``: what a run takes that nothing disturbs.
        median_ms: The median of all.
        p10_ms: The tenth percentile.
        p90_ms: The ninetieth.
    """

    typical_ms: float
    median_ms: float
    p10_ms: float
    p90_ms: float
    threads: int
    repeats: int
    runtime: str

    @property
    def seconds(self) -> float:
        """The typical time in seconds."""
        return self.typical_ms / 1e3

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return dataclasses.asdict(self)


def measure_latency(
    onnx: Path | bytes, shape: tuple[int, int, int], *, threads: int = 1, repeats: int = REPEATS
) -> Latency:
    """Time an exported file on random pixels of ``shape`` (height, width, channels), after a warm-up."""
    return measure_together([onnx], shape, threads=threads, repeats=repeats)[0]


def measure_together(
    models: Sequence[Path | bytes],
    shape: tuple[int, int, int],
    *,
    threads: int = 1,
    repeats: int = REPEATS,
    seconds: float = 0.0,
) -> list[Latency]:
    """Time exported files, or what would be in them, in turns on the same pixels of ``shape``.

    Args:
        models: The files.
        shape: Height, width and channels of the pixels.
        threads: Threads of onnxruntime.
        repeats: Runs of each, at least; never more than forty times as many.
        seconds: How long to go on for each, at least, so that a short disturbance does not fill all of it.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (1, *shape), dtype=np.uint8)
    sessions = [run_onnx(model, threads=threads) for model in models]
    runs: list[list[tuple[float, float]]] = [[] for _ in sessions]
    for session in sessions:
        for _ in range(max(3, repeats // 10)):
            session(pixels)
    start, long = time.perf_counter(), seconds * len(sessions)
    while len(runs[0]) < repeats or (time.perf_counter() - start < long and len(runs[0]) < _MOST * repeats):
        for session, done in zip(sessions, runs, strict=True):
            for _ in range(min(_TURN, max(repeats - len(done), 0)) or _TURN):
                done.append(_time(session, pixels, threads))
    return [_latency(done, threads) for done in runs]


def _time(session: Callable[[NDArray[Any]], Any], pixels: NDArray[np.uint8], threads: int) -> tuple[float, float]:
    """Milliseconds by our own clock and by the one on the wall."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    wall, own = time.perf_counter(), clock()
    session(pixels)
    own = clock() - own
    return 1e3 * own, 1e3 * (time.perf_counter() - wall)


def _latency(runs: list[tuple[float, float]], threads: int) -> Latency:
    whole = [own for own, wall in runs if wall <= DISTURBED * own]
    kept = whole if len(whole) >= _LEAST_KEPT * len(runs) else [own for own, _ in runs]
    p10, median, p90 = (float(value) for value in np.percentile(kept, (10, 50, 90)))
    typical = float(np.sort(kept)[: math.ceil(len(kept) / 4)].mean())
    return Latency(typical, median, p10, p90, threads, len(runs), runtime())


def runtime() -> str:
    """What runs exported files here, with its version."""
    return f"onnxruntime {version('onnxruntime')}"
