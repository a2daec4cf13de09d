"""Trainings that a table needs, each done once: stopped and started again, a benchmark goes on where it was.

Finished ones are lines of ``results/NAME.ndjson``. Each has one thread, as many run at once as there are cores: what is
compared is accuracy, which does not depend on the clock.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import multiprocessing
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import harness
import torch
from scipy.stats import t as student

from convsmith.processor import available_threads

Job = tuple[str, int]
"""An arm of the comparison and a seed."""
Row = dict[str, Any]


def done(name: str) -> dict[Job, Row]:
    """The finished trainings of a benchmark."""
    path = _path(name)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {(row["arm"], row["seed"]): row for row in map(json.loads, lines)}


def run(name: str, jobs: Sequence[Job], train: Callable[[str, int], Row], *, anew: bool = True) -> dict[Job, Row]:
    """Do what is missing of ``jobs``, in their order, and return all.

    Args:
        name: Of the benchmark.
        jobs: What the table needs.
        train: Does one; a function of a module, as it is called in other processes.
        anew: Each in a process of its own; otherwise a process does many, which saves starting it.
    """
    found = done(name)
    missing = [job for job in jobs if job not in found]
    context = multiprocessing.get_context("spawn")
    # Between one and no limit lies a fault of Python 3.11: a pool whose processes have reached it waits for ever.
    most = 1 if anew else None
    with ProcessPoolExecutor(
        available_threads(), context, torch.set_num_threads, (1,), max_tasks_per_child=most
    ) as pool:
        waiting = {pool.submit(train, *job): job for job in missing}
        for future in as_completed(waiting):
            arm, seed = waiting[future]
            row = {"arm": arm, "seed": seed, **future.result()}
            with _path(name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()
            found[arm, seed] = row
    return {job: found[job] for job in jobs}


def gather(
    name: str,
    description: str | None,
    jobs: Sequence[Job],
    train: Callable[[Path, str, int], Row],
    prepare: Callable[[Path], object],
    *,
    anew: bool = True,
) -> dict[Job, Row]:
    """The trainings that a table needs, as the command line asks: all of them, or those done so far.

    Args:
        name: Of the benchmark.
        description: Of its command.
        jobs: What the table needs.
        train: Does one on the images of a folder; a function of a module, as it is called in other processes.
        prepare: Reads the images once, so that all find them in the cache.
        anew: As in ``run``.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--so-far", action="store_true", help="write the table of what is done")
    arguments = parser.parse_args()
    if arguments.so_far:
        return done(name)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["CONVSMITH_CACHE"] = cache
        prepare(arguments.folder)
        return run(name, jobs, functools.partial(train, arguments.folder), anew=anew)


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean with its 95 % interval by Student's t, as far as there are values."""
    count = len(values)
    if count == 0:
        return {"seeds": 0}
    mean = statistics.fmean(values)
    if count == 1:
        return {"mean": mean, "seeds": 1}
    half = float(student.ppf(0.975, count - 1)) * statistics.stdev(values) / math.sqrt(count)
    return {"mean": mean, "low": mean - half, "high": mean + half, "seeds": count}


def over_seeds(found: Mapping[Job, Row], arm: str, seeds: Iterable[int], above: str | None = None) -> dict[str, float]:
    """Accuracy of an arm, or how far it is above another on the same seeds; what is not done is left out."""
    rows = [(found.get((arm, seed)), found.get((above, seed)) if above else {"accuracy": 0.0}) for seed in seeds]
    return interval([row["accuracy"] - base["accuracy"] for row, base in rows if row and base])


def _path(name: str) -> Path:
    return harness.RESULTS / f"{name}.ndjson"
