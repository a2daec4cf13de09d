"""Measuring the speed of a machine: made-up networks are timed, and the price of each kind of work is fitted to that.

Every kernel gives an equation: its amounts of work times their unknown prices are its time under onnxruntime's
profiler. Every network gives one too, without the profiler, which keeps the sum honest. Prices cannot be negative, and
what is made small is the relative error (Lawson and Hanson, "Solving Least Squares Problems", 1974, chapter 23).
"""

from __future__ import annotations

import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from scipy.optimize import nnls

from convsmith.deploy.calibration import Calibration, this_machine
from convsmith.deploy.kernels import Kernel
from convsmith.deploy.roofline import RUN, kernel_works, price
from convsmith.deploy.stopwatch import Timing, least, time_networks
from convsmith.deploy.trials import make_trial, make_weights
from convsmith.deploy.work import Hardware, Work
from convsmith.interop.onnx_file import open_session, write_onnx
from convsmith.ir import Builder, Graph, TensorType
from convsmith.ops import Conv2d
from convsmith.processor import caches

PROFILER: Final = "profiler"
"""The amount of which each kernel timed by the profiler has one, and a network timed without it none."""
MIN_TRIALS: Final = 24
_TOGETHER: Final = 8
_PASSES: Final = 2
_FOLDS: Final = 6
_TICK: Final = 5e-6
"""Seconds by which the profiler's clock and its own cost blur a kernel's time."""
_WEIGHT_OF_WHOLE: Final = 3.0
"""How much more the time of a network counts than that of a kernel: it is what an estimate is for."""


_TOLERATED: Final = 0.1
"""Relative error from which an equation counts less (Huber, 1964): other programs may have disturbed it."""
_REWEIGHTINGS: Final = 6


@dataclass(frozen=True)
class Equation:
    """Amounts of work that together took some seconds.

    Attributes:
        network: Number of the network that they belong to.
        whole: Whether they are all that the network does.
    """

    work: Work
    seconds: float
    network: int
    whole: bool


def calibrate(
    *, threads: int = 1, seconds: float = 50.0, progress: Callable[[float], None] = lambda share: None
) -> Calibration:
    """Measure this machine with ``threads`` threads of onnxruntime.

    Args:
        threads: Threads of onnxruntime.
        seconds: About how long to take; exceeded if ``MIN_TRIALS`` networks take longer.
        progress: Told the share that is done, 0 to 1.
    """
    hardware = Hardware(runtime_block(), caches())
    start = time.perf_counter()
    timings: list[Timing] = []
    while len(timings) < MIN_TRIALS or time.perf_counter() - start < seconds / _PASSES:
        progress(min((time.perf_counter() - start) / seconds, 1 / _PASSES))
        timings += _time_trials(range(len(timings), len(timings) + _TOGETHER), hardware, threads)
    for turn, first in product(range(1, _PASSES), range(0, len(timings), _TOGETHER)):
        progress((turn + first / len(timings)) / _PASSES)
        again = _time_trials(range(first, first + _TOGETHER), hardware, threads)
        timings[first : first + _TOGETHER] = map(least, timings[first:], again)
    equations = [
        equation
        for number, timing in enumerate(timings)
        for equation in equations_of(make_trial(number, hardware), timing, hardware, number)
    ]
    return Calibration(this_machine(threads), hardware, fit_prices(equations), hold_out(equations))


def _time_trials(numbers: range, hardware: Hardware, threads: int) -> list[Timing]:
    graphs = [make_trial(number, hardware) for number in numbers]
    return time_networks([(graph, make_weights(graph)) for graph in graphs], threads=threads, rounds=2, profile=True)


def runtime_block() -> int:
    """How many channels onnxruntime lays side by side here, as seen in what it makes of a small convolution."""
    net = Builder("block")
    graph = net.graph(net.add(Conv2d(3, 4, (3, 3)), net.input(TensorType((1, 3, 8, 8))), name="conv"))
    with tempfile.TemporaryDirectory(prefix="convsmith-") as folder:
        path = write_onnx(graph, make_weights(graph), Path(folder) / "block.onnx")
        optimized = Path(folder) / "optimized.onnx"
        open_session(path, optimized=optimized)
        model = onnx.load(optimized)
    blocked = any(node.domain.endswith("nchwc") for node in model.graph.node)
    return max(tensor.dims[0] for tensor in model.graph.initializer) if blocked else 1


def equations_of(graph: Graph, timing: Timing, hardware: Hardware, number: int) -> list[Equation]:
    """What a timed network says: of each kernel, of what cannot be told apart together, and of the whole."""
    works = kernel_works(graph, hardware)
    owners = {
        name: place
        for place, (kernel, _) in enumerate(works)
        for name in (kernel.node, *kernel.absorbed)
        if kernel.op is not None
    }
    spent: dict[object, float] = defaultdict(float)
    calls: dict[object, int] = defaultdict(int)
    for name, seconds in timing.kernels.items():
        owner = _owner(name, timing.operators[name], owners)
        spent[owner] += seconds
        calls[owner] += 1
    groups: dict[object, list[Work]] = {}
    for place, (kernel, work) in enumerate(works):
        groups.setdefault(place if place in spent else _unnamed(kernel), []).append(work)
    parts = [
        Equation(_sum([*members, {PROFILER: calls[owner]}]), spent[owner], number, whole=False)
        for owner, members in groups.items()
        if owner in spent
    ]
    return [*parts, Equation(_sum([*(work for _, work in works), {RUN: 1.0}]), timing.total, number, whole=True)]


def _owner(name: str, operator: str, owners: dict[str, int]) -> object:
    """The kernel that one of onnxruntime's nodes belongs to, by its name; or the kind of those without a known name.

    onnxruntime and our writer only ever append to the name of a node of the graph.
    """
    if operator.startswith("Reorder"):
        return "reorder"
    while name and name not in owners:
        name = re.sub(r"(^|[./_:])[^./_:]*$", "", name)
    return owners[name] if name else "unnamed"


def _unnamed(kernel: Kernel) -> str:
    return "reorder" if kernel.op is None else "unnamed"


def _sum(works: Iterable[Work]) -> Work:
    total: Counter[str] = Counter()
    for work in works:
        total.update(work)
    return dict(total)


def fit_prices(equations: Sequence[Equation]) -> dict[str, float]:
    """Seconds for a unit of each amount, none negative, that make the relative errors of all equations small."""
    names = sorted({name for equation in equations for name in equation.work})
    amounts = np.array([[equation.work.get(name, 0.0) for name in names] for equation in equations])
    seconds = np.array([equation.seconds for equation in equations])
    whole = np.array([equation.whole for equation in equations])
    weights = np.where(whole, _WEIGHT_OF_WHOLE / seconds, 1 / (seconds + _TICK))
    scale = amounts.max(axis=0)
    prices = np.zeros(len(names))
    for _ in range(_REWEIGHTINGS):
        errors = np.abs(amounts @ prices - seconds) / seconds
        robust = weights * np.minimum(1.0, _TOLERATED / np.maximum(errors, _TOLERATED)) ** 0.5
        prices = nnls(amounts / scale * robust[:, None], seconds * robust, maxiter=100 * len(names))[0] / scale
    return dict(zip(names, map(float, prices), strict=True))


def hold_out(equations: Sequence[Equation]) -> tuple[float, ...]:
    """Measured over estimated time of every network, estimated by a fit without it and some others; ascending."""
    ratios: list[float] = []
    for fold in range(_FOLDS):
        prices = fit_prices([equation for equation in equations if equation.network % _FOLDS != fold])
        left_out = [equation for equation in equations if equation.whole and equation.network % _FOLDS == fold]
        ratios += [equation.seconds / price(equation.work, prices) for equation in left_out]
    return tuple(sorted(ratios))
