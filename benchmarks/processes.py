"""The trainings of a search in processes of this machine, beside the same ones in one process.

All do the same eight trainings of 2,500 images, of networks of 8M multiply-adds, in turns: with one thread each, and
in one process also with as many threads as there are processors. Starting the processes is not counted.

    python benchmarks/processes.py FOLDER [--repeats 5]
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import harness

from convsmith.data import open_images, split_images
from convsmith.jobs.elsewhere import Order
from convsmith.jobs.lab import Lab
from convsmith.jobs.local_crew import Processes
from convsmith.jobs.settings import read_settings
from convsmith.processor import available_threads
from convsmith.scaling import Limits
from convsmith.search.candidate import Outcome, Work
from convsmith.search.crew import Alone, Crew
from convsmith.search.space import Space, make_field
from convsmith.training.setup import Setup

IMAGES = 2_500
NETWORKS = 8
MACS = 8_000_000


class Nothing:
    """A record of nothing, and a listener that does not listen."""

    def find(self, work: Work) -> Outcome | None:
        """Nothing was done before."""
        return None

    def record(self, work: Work, outcome: Outcome) -> None:
        """It is forgotten."""

    def note(self, name: str, value: Any) -> None:
        """It is forgotten, too."""

    def noted(self, name: str) -> Any:
        """There is none."""
        return None

    def wait(self, at: Sequence[str]) -> None:
        """Nobody looks at the clock."""

    def relay(self, events: Sequence[dict[str, Any]]) -> None:
        """There is no log."""


def seconds(crew: Crew, works: Sequence[Work]) -> float:
    """Wall-clock time of all of them."""
    started = time.perf_counter()
    done = list(crew.perform(works, lambda work: True, lambda work: None))
    assert len(done) == len(works)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    images, recipe_for, nothing = open_images(given.folder), read_settings(None), Nothing()
    split = split_images(images, seed=0)
    field = make_field(Space(Limits(macs=MACS), 3, images.side, len(images.classes)), NETWORKS, seed=0)
    drawn = [one for one in field.candidates if not one.rule][:NETWORKS]
    works = [Work(one, IMAGES, 0, final=False) for one in drawn]
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:

        def lab(threads: int) -> Lab:
            made = Lab(images, split, recipe_for, Path(folder), None, lambda _: None)
            made.setup = Setup(kernels=True, threads=threads)
            return made

        one, all_threads = lab(1), lab(available_threads())
        processes = Processes(None, print)
        stack.callback(processes.end)
        processes.prepare(Order.of(given.folder, images, 0, recipe_for, one.setup, {}), one)
        crews: dict[str, Crew] = {
            "one process": Alone(one.train, nothing),
            f"one process, {all_threads.setup.threads} threads": Alone(all_threads.train, nothing),
            f"{processes.hands} processes": processes.crew(nothing, one, nothing),  # pyright: ignore[reportArgumentType]
        }
        for crew in crews.values():
            seconds(crew, works)
        for _ in range(given.repeats):
            for name, crew in crews.items():
                times.setdefault(name, []).append(seconds(crew, works))
    base = times["one process"]
    ratios = {
        name: harness.summary([first / own for first, own in zip(base, found, strict=True)])
        for name, found in times.items()
        if name != "one process"
    }
    work = {"trainings": NETWORKS, "images": IMAGES, "macs": MACS, "repeats": given.repeats}
    found = {name: harness.summary(values) for name, values in times.items()}
    harness.write("processes", {"work": work, "seconds": found, "times as fast as one process": ratios})


if __name__ == "__main__":
    main()
