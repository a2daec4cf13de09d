"""``bench``: how long a network takes on this machine in each program that can run it, measured side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from convsmith.analysis import cost
from convsmith.deploy.environment import machine
from convsmith.deploy.latency import Latency, summary, take_turns
from convsmith.deploy.runtimes import RUNTIMES, Images, Run, Weights, exact_scores
from convsmith.deploy.trials import make_weights
from convsmith.errors import BudgetError, ModelError, OpError, did_you_mean
from convsmith.ir import Graph
from convsmith.jobs.probe import check_threads
from convsmith.jobs.step import Show, Step, ignore
from convsmith.jobs.weighted import open_weighted
from convsmith.quantities import in_units, parse_seconds, parse_shape
from convsmith.training.setup import Setup

SCHEMA: Final = "convsmith/bench/1"
SECONDS: Final = 2.0
_REPEATS: Final = 10


@dataclass(frozen=True)
class Timed:
    """A network in one runtime.

    Attributes:
        latency: Of a batch, by the clock on the wall.
        difference: Largest difference of a score from that in float64, over the largest score.
    """

    latency: Latency
    difference: float


@dataclass(frozen=True)
class Bench:
    """A network in all of them.

    Attributes:
        graph: The network with the batch that was timed.
        trained: Whether its weights are its own; times do not depend on that.
        threads: That each runtime had.
        timed: By the names of ``RUNTIMES``.
        failed: Why a runtime cannot run it.
        missing: The runtimes that are not installed.
        warnings: What the reader should know, a sentence each.
    """

    graph: Graph
    trained: bool
    threads: int
    timed: Mapping[str, Timed]
    failed: Mapping[str, str]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def batch(self) -> int:
        """Images in a run."""
        return self.graph.inputs[0][1].shape[0]

    @property
    def fastest(self) -> str:
        """The runtime with the least typical time."""
        return min(self.timed, key=lambda name: self.timed[name].latency.typical_ms)

    @property
    def macs(self) -> int:
        """Multiply-adds of a run."""
        return cost(self.graph).macs

    def images_per_second(self, name: str) -> float:
        """Images that a runtime typically gets through."""
        return self.batch / self.timed[name].latency.seconds

    def macs_per_second(self, name: str) -> float:
        """Multiply-adds that a runtime typically gets through."""
        return self.macs / self.timed[name].latency.seconds

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data."""
        return {
            "schema": SCHEMA,
            "model": self.graph.name,
            "input": list(self.graph.inputs[0][1].shape),
            "macs": self.macs,
            "threads": self.threads,
            "weights": "its own" if self.trained else "made up",
            "machine": machine(),
            "runtimes": {
                name: {
                    **one.latency.to_dict(),
                    "images_per_second": self.images_per_second(name),
                    "macs_per_second": self.macs_per_second(name),
                    "difference": one.difference,
                }
                for name, one in self.timed.items()
            },
            "fastest": self.fastest,
            "failed": dict(self.failed),
            "missing": list(self.missing),
            "warnings": list(self.warnings),
        }


def bench(
    model: Any,
    input: str | Sequence[int] | None = None,
    *,
    batch: int = 1,
    threads: int = 1,
    runtimes: str | Sequence[str] | None = None,
    seconds: float | str = SECONDS,
    show: Show = ignore,
) -> Bench:
    """Time a network in every runtime here, in turns, on the same images and with the same weights.

    Args:
        model: A run folder, or anything that ``inspect`` takes.
        input: (channels, height, width), or ``"3x64x64"``, in place of the model's own.
        batch: Images in a run.
        threads: That each runtime may use.
        runtimes: One or several names of ``RUNTIMES``; None for all that are installed.
        seconds: How long to time each, at least; also as ``"500ms"``.
        show: Told of the progress.

    Raises:
        ModelError: If the model cannot be read, has not one input and one output, or no runtime can run it; or if a
            runtime is not known or not installed.
        BudgetError: If there are no images in a batch, no threads, or more than cores that this process may use.
        RunError: If a run folder is damaged.
    """
    check_threads(threads, "bench")
    names, missing = _installed([runtimes] if isinstance(runtimes, str) else runtimes)
    if input is not None:
        channels, height, width = parse_shape(input, "input", rank=3)
        input = (channels, height, width)
    opened = open_weighted(model, input)
    graph = _batched(opened.graph, batch)
    weights = make_weights(graph) if opened.weights is None else opened.weights
    images = np.random.default_rng(0).standard_normal(graph.inputs[0][1].shape, dtype=np.float32)
    with Setup(threads=threads).threads_set():
        timed, failed = _timed(graph, weights, images, names, threads, in_units(seconds, parse_seconds), show)
    if not timed:
        raise ModelError("no runtime can run it", received=failed, where=graph.name)
    warnings = ("what the file does to pixels before its first layer is not timed",) if opened.takes_bytes else ()
    return Bench(graph, opened.weights is not None, threads, timed, failed, missing, warnings)


def _installed(asked: Sequence[str] | None) -> tuple[list[str], tuple[str, ...]]:
    """The runtimes to time, and those that are missing where none was asked for."""
    for name in asked or ():
        if name not in RUNTIMES:
            known = ", ".join(RUNTIMES)
            raise ModelError("no such runtime", received=name, remedy=did_you_mean(name, RUNTIMES, f"known: {known}"))
        if RUNTIMES[name].version is None:
            remedy = f"pip install {RUNTIMES[name].package}"
            raise ModelError("the runtime is not installed", received=name, remedy=remedy)
    wanted = dict.fromkeys(asked or RUNTIMES)
    missing = tuple(name for name in wanted if RUNTIMES[name].version is None)
    return [name for name in wanted if name not in missing], missing


def _batched(graph: Graph, batch: int) -> Graph:
    """The network for a batch of that size."""
    if batch < 1:
        raise BudgetError("a batch must have at least 1 image", received=batch, where="bench")
    ends = len(graph.inputs), len(graph.outputs)
    if ends != (1, 1):
        raise ModelError("must have one input and one output", received=ends, where=graph.name)
    shape = graph.inputs[0][1].shape
    try:
        return graph.with_inputs(graph.inputs[0][1].with_shape(batch, *shape[1:]))
    except OpError as error:
        raise ModelError(f"takes no batch of {batch}: {error}", where=graph.name) from error


def _timed(
    graph: Graph,
    weights: Weights,
    images: Images,
    names: Iterable[str],
    threads: int,
    seconds: float,
    show: Show,
) -> tuple[dict[str, Timed], dict[str, str]]:
    runs: dict[str, Run] = {}
    failed: dict[str, str] = {}
    for name in names:
        show(Step("loading", 0.0, name))
        try:
            run = RUNTIMES[name].open(graph, weights, threads)
            run(images)
            runs[name] = run
        except ModelError as error:
            failed[name] = str(error)
    show(Step("timing", 0.5, ", ".join(runs)))
    tasks = {name: partial(run, images) for name, run in runs.items()}
    turns = take_turns(tasks, repeats=_REPEATS, seconds=seconds)
    exact = exact_scores(graph, weights, images)
    scale = float(np.abs(exact).max()) or 1.0
    return {
        name: Timed(
            summary(done, threads, f"{RUNTIMES[name].package} {RUNTIMES[name].version}"),
            float(np.abs(runs[name](images) - exact).max()) / scale,
        )
        for name, done in turns.items()
    }, failed
