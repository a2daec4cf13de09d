"""What it costs to be hard to kill: the share of a training that goes into checkpoints, and the time to go on from one.

A residual network and an inverted-residual one of a few million parameters train for some minutes at the default
interval, optimizer state and weight average included. The share is measured within one run: everything that would not
be done without checkpoints and rollbacks, over everything. Going on is a call of ``train`` up to its first step, beside
one that starts anew, in turn; the process with its imports is measured too.

python benchmarks/resume.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import harness
import numpy as np

from convsmith.analysis import cost
from convsmith.data import Normalisation
from convsmith.design import Design, lower
from convsmith.design.toml_file import make_design
from convsmith.interop.torch_module import build
from convsmith.training import parts
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget
from convsmith.training.events import EventLog, read_events
from convsmith.training.guard import Guard
from convsmith.training.initialise import initialise
from convsmith.training.keeper import Keeper
from convsmith.training.learner import Learner
from convsmith.training.loop import train
from convsmith.training.progress import Progress
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup

SECONDS = 150.0
REPEATS = 5
WORK = ((Keeper, "keep"), (Guard, "offer"), (Learner, "_state"), (parts, "copy_tensors"))
"""What a training without checkpoints, rollbacks and care for memory would not do; the last three are in steps."""


class _Reached(Exception):
    """The first step is done."""


def net(block: str, widths: tuple[int, ...], depth: int, **options: object) -> Design:
    stages = [{"block": block, "depth": depth, "width": width, "stride": 2, **options} for width in widths]
    head = {"task": "classify", "classes": 10}
    stem = {"block": "conv", "width": widths[0] // 2}
    return make_design({"name": block, "input": [3, 32, 32], "stem": stem, "stage": stages, "head": head})


NETS = {
    "residual": net("residual", (64, 128, 256), 2),
    "inverted residual": net("inverted_residual", (48, 96, 160), 4, expansion=6.0),
}


def images(count: int = 2000) -> TrainingSet:
    chance = np.random.default_rng(0)
    pixels = chance.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return TrainingSet(pixels, chance.integers(0, 10, count), Normalisation((128.0,) * 3, (64.0,) * 3), 10)


def arguments(design: Design, folder: Path) -> dict[str, Any]:
    return {
        "module": initialise(build(lower(design)), 0), "data": images(), "recipe": Recipe(), "seed": 0,
        "budget": Budget(epochs=1e6), "setup": Setup(), "checkpoints": folder / "checkpoints",
    }  # fmt: skip


def measured(spent: dict[str, float], owner: Any, name: str) -> Callable[..., Any]:
    """The function, with its time added up; calls within a measured call count once."""
    function = getattr(owner, name)

    def call(*given: Any) -> Any:
        if spent["depth"]:
            return function(*given)
        spent["depth"], start = 1, time.perf_counter()
        try:
            return function(*given)
        finally:
            spent["depth"] = 0
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - start

    return call


def overhead(design: Design, folder: Path) -> dict[str, Any]:
    spent: dict[str, float] = {"depth": 0}
    functions = {(owner, name): getattr(owner, name) for owner, name in WORK}
    states: list[Progress] = []
    began = time.perf_counter()

    def stop(state: Progress) -> None:
        states.append(state)
        if time.perf_counter() - began > SECONDS:
            raise KeyboardInterrupt

    for owner, name in WORK:
        setattr(owner, name, measured(spent, owner, name))
    try:
        with EventLog(folder / "events.ndjson") as log:
            train(events=log, progress=stop, **arguments(design, folder))
    except KeyboardInterrupt:
        pass
    finally:
        for (owner, name), function in functions.items():
            setattr(owner, name, function)
    seconds = time.perf_counter() - began
    saves = [event["seconds"] for event in read_events(folder / "events.ndjson") if event["event"] == "checkpoint"]
    del spent["depth"]
    newest = max((folder / "checkpoints").iterdir())
    return {
        "params": cost(lower(design)).params,
        "checkpoint_bytes": sum(file.stat().st_size for file in newest.iterdir()),
        "seconds": seconds,
        "steps": len(states),
        "images_per_second": states[-1].images_per_second,
        "one_save": harness.summary(saves),
        "spent": spent,
        "share": sum(spent.values()) / seconds,
    }


def start(design: Design, folder: Path, resume: bool) -> None:
    """A training up to its first step."""

    def stop(_: object) -> None:
        raise _Reached

    try:
        train(resume=resume, progress=stop, **arguments(design, folder if resume else folder / "none"))
    except _Reached:
        pass


def process(name: str, folder: Path, resume: bool) -> None:
    call = f"resume.start(resume.NETS[{name!r}], Path({str(folder)!r}), {resume})"
    program = f"import resume; from pathlib import Path; {call}"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parent)


def main() -> None:
    results: dict[str, Any] = {}
    for name, design in NETS.items():
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as there:
            folder = Path(there)
            found = overhead(design, folder)
            calls = {"start": partial(start, design, folder, False), "resume": partial(start, design, folder, True)}
            processes = {kind: partial(process, name, folder, kind == "resume") for kind in calls}
            found["calls"] = harness.interleaved(calls, REPEATS)
            found["processes"] = harness.interleaved(processes, REPEATS)
            results[name] = found
    harness.write("resume", {"unit": "seconds", "goals": {"share": 0.01, "resume": 2.0}, "networks": results})


if __name__ == "__main__":
    main()
