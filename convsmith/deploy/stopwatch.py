"""Timing networks in onnxruntime: as a whole, and kernel by kernel with its own profiler.

Other programs must not change the result. Networks are timed in turn, in rounds of a few runs; runs that were
interrupted are left out, and of the others the lower quarter counts, for what disturbs can only make a run longer. A
single thread is timed by the processor's time that it gets, which is what a run takes while nobody else wants the
core; several threads wait for each other, so for them only the clock on the wall is left.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convsmith.interop.onnx_file import open_session, write_onnx
from convsmith.interop.onnxruntime import onnxruntime
from convsmith.ir import Graph

ROUNDS: Final = 3
_WARM_UP: Final = 2
_RUNS: Final = range(3, 60)
DISTURBED: Final = 1.03
"""Time on the wall over our own from which on a run was interrupted."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one network.

    Attributes:
        total: For a run, without the profiler.
        kernels: For each of onnxruntime's nodes by name, under the profiler. Names that it gave twice are one entry.
        operators: The kind of each node, by the same names.
    """

    total: float
    kernels: Mapping[str, float] = field(default_factory=dict[str, float])
    operators: Mapping[str, str] = field(default_factory=dict[str, str])


def time_networks(
    networks: Sequence[tuple[Graph, Mapping[str, NDArray[Any]]]],
    *,
    threads: int = 1,
    seconds: float = 0.03,
    rounds: int = ROUNDS,
    profile: bool = False,
) -> list[Timing]:
    """Time networks with their weights in turn.

    Args:
        networks: All are kept in memory together.
        threads: Threads of onnxruntime.
        seconds: How long to run each in each round; three runs at least.
        rounds: How often each gets its turn.
        profile: Whether to time each kernel too, which takes as long again.

    Raises:
        ModelError: If a network cannot be written as ONNX.
    """
    with tempfile.TemporaryDirectory(prefix="convsmith-") as name:
        folder = Path(name)
        stands = [
            _Stand(graph, weights, folder / f"network{number}", threads, profile)
            for number, (graph, weights) in enumerate(networks)
        ]
        for _ in range(rounds):
            for stand in stands:
                stand.run(seconds)
        return [stand.timing() for stand in stands]


def least(first: Timing, second: Timing) -> Timing:
    """The smaller of each time of two timings of one network."""
    kernels = {name: min(seconds, second.kernels.get(name, seconds)) for name, seconds in first.kernels.items()}
    return Timing(min(first.total, second.total), kernels, first.operators)


@dataclass(frozen=True)
class _Run:
    """Seconds of a run by our clock, and whether that on the wall agrees."""

    seconds: float
    undisturbed: bool


class _Stand:
    """A network on the test stand."""

    def __init__(
        self, graph: Graph, weights: Mapping[str, NDArray[Any]], place: Path, threads: int, profile: bool
    ) -> None:
        self._clock = time.thread_time if threads == 1 else time.perf_counter
        path = write_onnx(graph, weights, place.with_suffix(".onnx"))
        rng = np.random.default_rng(0)
        self._feeds = {name: rng.standard_normal(type.shape, dtype=np.float32) for name, type in graph.inputs}
        self._plain = open_session(path, threads=threads)
        self._watched = open_session(path, threads=threads, profile=place) if profile else None
        path.unlink()
        self._plain_runs: list[_Run] = []
        self._watched_runs: list[_Run] = []
        for session in (self._plain, self._watched):
            if session is not None:
                self._times(session, 0.0, range(_WARM_UP, _WARM_UP + 1))

    def run(self, seconds: float) -> None:
        """One round."""
        self._plain_runs += self._times(self._plain, seconds, _RUNS)
        if self._watched is not None:
            self._watched_runs += self._times(self._watched, seconds, _RUNS)

    def _times(self, session: onnxruntime.InferenceSession, seconds: float, runs: range) -> list[_Run]:
        """So many runs as fit into ``seconds``, within the limits of ``runs``."""
        times: list[_Run] = []
        end = time.perf_counter() + seconds
        while len(times) < runs.start or (len(times) < runs.stop - 1 and time.perf_counter() < end):
            wall, own = time.perf_counter(), self._clock()
            session.run(None, self._feeds)
            own = self._clock() - own
            times.append(_Run(own, time.perf_counter() - wall <= DISTURBED * own))
        return times

    def timing(self) -> Timing:
        """What the rounds so far say; ends the profile."""
        total = _typical([run.seconds for run in self._plain_runs], self._plain_runs)
        if self._watched is None:
            return Timing(total)
        path = Path(self._watched.end_profiling())
        events = [event for event in json.loads(path.read_text()) if event["name"].endswith("_kernel_time")]
        path.unlink()
        times: dict[str, list[float]] = defaultdict(list)
        operators: dict[str, str] = {}
        for event in events:
            name = event["name"].removesuffix("_kernel_time")
            times[name].append(event["dur"] * 1e-6)
            operators[name] = event["args"]["op_name"]
        kernels = {name: self._kernel(values) for name, values in times.items()}
        return Timing(total, kernels, operators)

    def _kernel(self, values: list[float]) -> float:
        """Seconds of a kernel in a run, from all its times; a name given twice has several in each run."""
        runs = np.reshape(values, (_WARM_UP + len(self._watched_runs), -1)).sum(axis=1)
        return _typical(runs[_WARM_UP:], self._watched_runs)


def _typical(seconds: NDArray[np.float64] | list[float], runs: list[_Run]) -> float:
    """Mean of the lower quarter of the runs that nothing interrupted; a mean, since the profiler's clock is coarse."""
    whole = np.asarray(seconds)[[run.undisturbed for run in runs]]
    kept = np.sort(whole if len(whole) else seconds)
    return float(kept[: math.ceil(len(kept) / 4)].mean())
