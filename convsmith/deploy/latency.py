"""How long one image takes on this machine.

Networks that are compared take turns, a few runs each, so that what disturbs a machine disturbs them alike. Of a run
on one thread the processor's time counts, and runs that were interrupted are left out, as in ``stopwatch``.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from convsmith.deploy.stopwatch import DISTURBED
from convsmith.interop.onnx_file import run_onnx

Runs = list[tuple[float, float]]
"""Milliseconds of each run, by our own clock and by the one on the wall."""

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
    sessions = {str(number): run_onnx(model, threads=threads) for number, model in enumerate(models)}
    clock = time.thread_time if threads == 1 else time.perf_counter
    runs = take_turns(
        {name: partial(session, pixels) for name, session in sessions.items()},
        repeats=repeats,
        seconds=seconds,
        clock=clock,
    )
    return [summary(done, threads, runtime()) for done in runs.values()]


def take_turns(
    tasks: Mapping[str, Callable[[], object]],
    *,
    repeats: int = REPEATS,
    seconds: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Runs]:
    """Time tasks in turns, after a warm-up.

    Args:
        tasks: By name.
        repeats: Runs of each, at least; never more than forty times as many.
        seconds: How long to go on for each, at least.
        clock: Our own; that of the thread counts only what the thread itself does.
    """
    runs: dict[str, Runs] = {name: [] for name in tasks}
    for task in tasks.values():
        for _ in range(max(3, repeats // 10)):
            task()
    start, long, least = time.perf_counter(), seconds * len(tasks), 0
    while least < repeats or (time.perf_counter() - start < long and least < _MOST * repeats):
        turn = min(_TURN, max(repeats - least, 0)) or _TURN
        for name, task in tasks.items():
            runs[name] += [_time(task, clock) for _ in range(turn)]
        least += turn
    return runs


def _time(task: Callable[[], object], clock: Callable[[], float]) -> tuple[float, float]:
    wall, own = time.perf_counter(), clock()
    task()
    own = clock() - own
    return 1e3 * own, 1e3 * (time.perf_counter() - wall)


def summary(runs: Runs, threads: int, runtime: str) -> Latency:
    """What the runs say; of those of one thread, those that nothing interrupted."""
    whole = [own for own, wall in runs if wall <= DISTURBED * own]
    kept = whole if len(whole) >= _LEAST_KEPT * len(runs) else [own for own, _ in runs]
    p10, median, p90 = (float(value) for value in np.percentile(kept, (10, 50, 90)))
    typical = float(np.sort(kept)[: math.ceil(len(kept) / 4)].mean())
    return Latency(typical, median, p10, p90, threads, len(runs), runtime)


def runtime() -> str:
    """What runs exported files here, with its version."""
    return f"onnxruntime {version('onnxruntime')}"
