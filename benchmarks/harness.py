"""What every benchmark shares: repeated measurements side by side, and a result that says where it comes from."""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from convsmith.deploy.environment import machine, versions

RESULTS = Path(__file__).parent / "results"


def interleaved(
    tasks: Mapping[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, dict[str, float]]:
    """Seconds of each task, run in turn so that a slow moment of the machine hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            start = clock()
            task()
            times[name].append(clock() - start)
    return {name: summary(values) for name, values in times.items()}


def summary(values: list[float]) -> dict[str, float]:
    """Median with minimum, maximum and count."""
    return {
        "median": statistics.median(values),
        "minimum": min(values),
        "maximum": max(values),
        "repeats": len(values),
    }


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean of many repeats with its 95 % interval."""
    mean, half = statistics.fmean(values), 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    return {"mean": mean, "low": mean - half, "high": mean + half}


def write(name: str, result: dict[str, Any]) -> None:
    """Write ``results/NAME.json`` with the machine and the versions, and show it."""
    document = {"benchmark": name, "machine": machine(), "versions": versions(), **result}
    text = json.dumps(document, indent=2, ensure_ascii=False)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")
