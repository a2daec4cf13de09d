"""How long a network takes on this machine, from its graph alone: no weights, no file, nothing is run.

Each kernel that onnxruntime would run takes the sum of its amounts of work (``work``) times what a unit of each costs
here (``calibration``), in the manner of a roofline (Williams et al., 2009) that adds where the original takes the
greater, for the kernels overlap computing and moving only in part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from convsmith.analysis import WEIGHT_BYTES
from convsmith.deploy.calibration import COVERAGE, Calibration, read_calibration
from convsmith.deploy.kernels import Kernel, plan_kernels
from convsmith.deploy.work import Hardware, Work, count_work
from convsmith.ir import Graph

RUN: Final = "run"
"""The amount that every network has once."""


@dataclass(frozen=True)
class Estimate:
    """The time of one run of a network.

    Attributes:
        seconds: The best guess.
        low: Lower end of the interval.
        high: Upper end; nine of ten networks held out in the calibration lie between the two.
        per_layer: Seconds by node. A node that another does in passing has zero, and what every run costs is in none.
        error: Median relative error of such estimates for networks held out.
        threads: Threads of onnxruntime.
    """

    seconds: float
    low: float
    high: float
    per_layer: Mapping[str, float]
    error: float
    threads: int

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**vars(self), "per_layer": dict(self.per_layer), "coverage": COVERAGE}


def latency_of(graph: Graph, threads: int = 1) -> Estimate:
    """The time of ``graph`` in onnxruntime on this machine.

    Raises:
        CalibrationError: If this machine has not been probed.
        OpError: If the network does not fit its input types.
    """
    return estimate(graph, read_calibration(threads))


def estimate(graph: Graph, calibration: Calibration) -> Estimate:
    """The time of ``graph`` on the machine of ``calibration``.

    Raises:
        OpError: If the network does not fit its input types.
    """
    per_layer = dict.fromkeys((node.name for node in graph.nodes), 0.0)
    for kernel, work in kernel_works(graph, calibration.hardware):
        per_layer[kernel.node] += price(work, calibration.seconds)
    seconds = sum(per_layer.values()) + price({RUN: 1.0}, calibration.seconds)
    low, high = calibration.spread
    return Estimate(seconds, low * seconds, high * seconds, per_layer, calibration.error, calibration.machine.threads)


def kernel_works(graph: Graph, hardware: Hardware) -> list[tuple[Kernel, Work]]:
    """The kernels of ``graph`` with their amounts of work.

    Raises:
        OpError: If the network does not fit its input types.
    """
    footprint = WEIGHT_BYTES * sum(map(math.prod, graph.param_shapes.values()))
    return [(kernel, count_work(kernel, hardware, footprint)) for kernel in plan_kernels(graph, hardware.block)]


def price(work: Work, seconds: Mapping[str, float]) -> float:
    """Seconds for amounts of work; what no network of the calibration had any of is too rare to matter."""
    return sum(amount * seconds.get(name, 0.0) for name, amount in work.items())
