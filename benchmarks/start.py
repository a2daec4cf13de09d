"""How fast `inspect` and `conv` answer: as a process, as a call, all facts about ResNet-152 once it is read, a matrix.

python benchmarks/start.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial

import harness

import convsmith

REPEATS = 15
FACTS = ("cost", "fields", "sections", "waste", "memory", "training", "lints")
"""Everything that an inspection works out once the network is read."""


def process(*arguments: str) -> None:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # an installed package is compiled already
    command = [sys.executable, "-m", "convsmith", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


def analysis(model: str) -> float:
    """Seconds that all facts about a network take, from its shapes to the rows of its table."""
    inspection = convsmith.inspect(model)
    assert inspection.graph.types
    start = time.perf_counter()
    for fact in FACTS:
        getattr(inspection, fact)
    assert inspection.cost.layers
    return time.perf_counter() - start


def matrix() -> float:
    """Seconds of the matrix of a 3x3 convolution from 16 to 16 channels on 32x32 pixels."""
    layer = convsmith.conv("16x32x32", 3, padding=1, out_channels=16)
    start = time.perf_counter()
    assert layer.matrix.distinct == 16 * 16 * 9
    return time.perf_counter() - start


def main() -> None:
    convsmith.inspect("zoo:resnet50")
    processes = {
        "python": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        "help": partial(process, "--help"),
        "inspect_resnet50": partial(process, "inspect", "zoo:resnet50"),
        "conv": partial(process, "conv", "--input", "4x4", "--kernel", "3"),
    }
    calls = {
        f"inspect_{name}": partial(convsmith.inspect, f"zoo:{name}")
        for name in ("resnet50", "resnet152", "efficientnet-b0")
    }
    harness.write(
        "start",
        {
            "unit": "seconds",
            "goals": {
                "help": 0.3,
                "inspect_resnet50": 0.5,
                "conv": 0.4,
                "conv_matrix": 1.0,
                "call": 0.005,
                "analysis": 0.01,
            },
            "processes": harness.interleaved(processes, REPEATS),
            "calls": harness.interleaved(calls, 10 * REPEATS),
            "conv_matrix": harness.summary([matrix() for _ in range(REPEATS)]),
            "analysis": harness.summary([analysis("zoo:resnet152") for _ in range(10 * REPEATS)]),
        },
    )


if __name__ == "__main__":
    main()
