"""Convolution arithmetic on random layers: do a plain loop, the matrix C and torch agree, to how many digits?

2,000 random layers of each kind: convolution, transposed convolution, fractional stride, max and average pooling, with
all their settings drawn. Shape, dropped pixels, connections and the entries of C must be the same; values and the
gradients by map and weights are compared in float64. Then the memory that the matrix of one layer takes; how long it
and the command take is in `benchmarks/start.py`.

    python benchmarks/arithmetic.py
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import harness

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "jobs"))
from jobs_links import KINDS, compare, draw

LAYERS = 2_000
MATRIX = "import convsmith; convsmith.conv('16x32x32', 3, padding=1, out_channels=16).matrix"


def agreement(kind: str) -> dict[str, Any]:
    """The largest difference over random layers of a kind; anything else that differs stops the benchmark."""
    rng, largest, links = random.Random(kind), 0.0, 0
    for number in range(LAYERS):
        layer = draw(rng.randint, kind)
        try:
            largest = max(largest, compare(layer, number))
        except AssertionError as error:
            raise AssertionError(f"layer {number}: {layer.op} on {layer.input}: {error}") from error
        links += layer.connections
    return {"kind": kind, "layers": LAYERS, "connections": links, "largest_difference": largest}


def main() -> None:
    rows = [agreement(kind) for kind in KINDS]
    subprocess.run([sys.executable, "-c", MATRIX], check=True)
    harness.write(
        "arithmetic",
        {
            "goals": {"layers": 10_000, "largest_difference": 1e-9, "matrix_megabytes": 500},
            "layers": sum(row["layers"] for row in rows),
            "largest_difference": max(row["largest_difference"] for row in rows),
            "rows": rows,
            "matrix_megabytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        },
    )


if __name__ == "__main__":
    main()
