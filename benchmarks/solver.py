"""Designs on the surface of equal cost: how many draws fill the budget, and how many are solved in a second.

300 random shapes for each family and budget; a shape is feasible if its narrowest network is within the budget.

    python benchmarks/solver.py
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import harness

from convsmith.errors import BudgetError
from convsmith.scaling import Limits, price, solve
from convsmith.scaling.solve import narrowest

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.scaling.test_solve import BUDGETS, FAMILIES, draw

DRAWS = 300


def measure(family: str, budget: int) -> dict[str, Any]:
    rng, limits, uses, missed = random.Random(budget), Limits(macs=budget), [], 0
    shapes = [draw(rng, family) for _ in range(DRAWS)]
    start = time.perf_counter()
    for shape in shapes:
        try:
            uses.append(limits.use(price(solve(shape, limits, quantum=8 if budget >= 8_000_000 else 4))))
        except BudgetError:
            missed += price(narrowest(shape)).macs <= budget
    seconds = time.perf_counter() - start
    return {
        "family": family,
        "budget": budget,
        "feasible": len(uses) + missed,
        "filled": sum(0.97 <= use <= 1 for use in uses) / max(1, len(uses) + missed),
        "above": sum(use > 1 for use in uses),
        "median_use": statistics.median(uses),
        "designs_per_second": DRAWS / seconds,
    }


def main() -> None:
    rows = [measure(family, budget) for family in FAMILIES for budget in BUDGETS]
    harness.write(
        "solver",
        {
            "goals": {"filled": 0.95, "above": 0, "designs_per_second": 300},
            "least_filled": min(row["filled"] for row in rows),
            "designs_per_second": harness.summary([row["designs_per_second"] for row in rows]),
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
