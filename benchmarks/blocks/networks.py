"""The networks of the ablation of blocks: one for each family at equal multiply-adds, and one at equal measured time.

All have three stages of two blocks on maps of 16, 8 and 4 pixels, each block with its own defaults; widths are solved
for. Times are those of one thread of onnxruntime, one image, each network in turns with the reference: the residual
network at equal multiply-adds. The time that all fill is twice that of the reference, for families with many small
layers are never as fast, at any width. Where two blocks a stage take longer even so, there are fewer.

Measured times differ from run to run, so the networks are made once and kept in ``results/blocks_networks.json``.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
from nets import net

from convsmith.deploy.stopwatch import time_networks
from convsmith.deploy.trials import make_weights
from convsmith.design import Design, lower, parse_design, write_design
from convsmith.errors import BudgetError
from convsmith.quantities import format_seconds
from convsmith.scaling import Limits, Measure, price, solve
from convsmith.scaling.axes import total_depth, with_total_depth

MACS = 2_000_000
REFERENCE = "residual"
PATH = harness.RESULTS / "blocks_networks.json"
QUANTUM = 2
FAST = 8
"""Multiples of it are fast in onnxruntime, so widths are such where time is filled, if they can be."""
TIMES = 2
"""The time that is filled, in times of the reference."""


def small(block: str, *, depth: int = 2, widths: tuple[int, ...] = (16, 32, 64), **options: object) -> Design:
    """A network of ``net`` whose stem halves the image."""
    design = net(block, depth=depth, widths=widths, **options)
    return design.model_copy(update={"stem": design.stem.model_copy(update={"stride": 2})})


FAMILIES = {
    "plain": small("plain"),
    "residual": small("residual"),
    "residual, SE": small("residual", se_ratio=0.25),
    "bottleneck": small("bottleneck", widths=(64, 128, 256)),
    "depthwise": small("depthwise"),
    "inverted residual": small("inverted_residual"),
    "inverted residual, SE": small("inverted_residual", se_ratio=0.25),
    "ghost": small("ghost"),
    "ghost v2": small("ghost_v2"),
    "shuffle": small("shuffle"),
    "convnext": small("convnext"),
}
ARMS = [f"{family} | {equal}" for equal in ("macs", "latency") for family in FAMILIES]


def kept() -> dict[str, dict[str, Any]]:
    """The networks by arm, each with its design, cost and time; made now if there are none."""
    if not PATH.exists():
        harness.write(PATH.stem, {"macs": MACS, "reference": REFERENCE, "times": TIMES, "networks": make()})
    return json.loads(PATH.read_text(encoding="utf-8"))["networks"]


def design_of(arm: str) -> Design:
    return parse_design(kept()[arm]["design"])


def make() -> dict[str, dict[str, Any]]:
    equal_macs = {name: solve(design, Limits(macs=MACS), quantum=QUANTUM) for name, design in FAMILIES.items()}
    reference = equal_macs[REFERENCE]
    (alone,) = time_networks([timeable(reference)])

    @functools.cache
    def seconds(design: Design) -> float:
        """Of the reference, times how much longer it takes than that one in the same moments."""
        first, second = time_networks([timeable(reference), timeable(design)])
        return alone.total * second.total / first.total

    limit = Limits(others=(Measure("latency", TIMES * alone.total, seconds, format_seconds, macs=TIMES * MACS),))
    found = {f"{name} | macs": design for name, design in equal_macs.items()}
    found |= {f"{name} | latency": within(design, limit) for name, design in FAMILIES.items()}
    return {
        arm: {
            "macs": price(design).macs,
            "params": price(design).params,
            "milliseconds": 1e3 * seconds(design),
            "blocks": total_depth(design),
            "design": write_design(design),
        }
        for arm, design in found.items()
    }


def timeable(design: Design) -> tuple[Any, Any]:
    graph = lower(design)
    return graph, make_weights(graph)


def within(template: Design, limits: Limits) -> Design:
    """The network that fills the time, with as many blocks as it has room for."""
    for shape in fewer(template):
        try:
            return solve(shape, limits, quantum=FAST, pixels=0)
        except BudgetError as error:
            print(f"{template.name}, {total_depth(shape)} blocks: {error}", file=sys.stderr)
    raise BudgetError("no network of this family is so fast", where=template.name)


def fewer(template: Design) -> Iterator[Design]:
    for total in range(total_depth(template), len(template.stage) - 1, -1):
        yield with_total_depth(template, total)


if __name__ == "__main__":
    kept()
