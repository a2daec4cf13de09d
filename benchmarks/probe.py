"""Does the race choose well? Every setup of a training measured, beside what a few seconds of racing choose.

For each network all combinations of number type, layout, kernels, threads and parts are timed on whole training steps,
in turn, round after round, so that a slow moment of the machine hits all of them. The regret of a race is the time of
the setup it chose over that of the fastest, both from this table; its own measurements do not count. How much of that
is noise is told by a choice from one half of the rounds, judged by the other half.

``torch.compile`` is timed in the same rounds, with channels last in each number type, with the seconds that its first
step takes. It is no candidate of the race.

    python benchmarks/probe.py [--rounds 9] [--races 5] [--net "residual" ...] [--no-compile]
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line has it

import harness
import torch
from nets import NETS, net

from convsmith.analysis import cost
from convsmith.deploy.peaks import gemm_rate
from convsmith.design import Design, lower
from convsmith.errors import first_line
from convsmith.interop.torch_module import build
from convsmith.processor import available_threads
from convsmith.training.candidates import all_setups, ways
from convsmith.training.probe import race_setups, training_step
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup

BATCH = Recipe().batch
DESIGNS = {
    **NETS,
    "bottleneck": net("bottleneck", depth=2),
    "depthwise": net("depthwise", depth=2, widths=(32, 64, 128)),
}
KEYS = tuple(field.name for field in dataclasses.fields(Setup) if field.name not in ("measured", "batch_forward"))

Step = Callable[[], None]


def compiled(design: Design, setup: Setup, images: torch.Tensor) -> tuple[Step | None, dict[str, Any]]:
    """A step of the compiled network, and what its first one took; no step where it cannot be compiled."""
    start = time.perf_counter()
    step = training_step(setup, torch.compile(build(lower(design))), images)  # pyright: ignore[reportArgumentType]
    try:
        step()
    except Exception as error:  # it needs a compiler, and has many ways to fail
        return None, {"error": first_line(error)}
    return step, {"first_step_seconds": time.perf_counter() - start}


def timed(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step, in turn; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def name_of(setup: Setup) -> str:
    layout, parts = "NHWC" if setup.channels_last else "NCHW", setup.micro_batch or BATCH
    operators = "kernels" if setup.kernels else "torch"
    return f"{setup.dtype} {layout} {operators} threads {setup.threads} images {parts}"


def noise(times: dict[str, list[float]]) -> float:
    """The regret of the fastest of every other round, judged by the rounds between: with it a race is compared."""
    halves = [{name: statistics.median(values[start::2]) for name, values in times.items()} for start in (0, 1)]
    chosen = min(halves[0], key=halves[0].__getitem__)
    return halves[1][chosen] / min(halves[1].values())


def measure(design: Design, rounds: int, races: int, *, compiling: bool) -> dict[str, Any]:
    images = torch.rand(BATCH, *design.input)
    module = build(lower(design))
    candidates = {name_of(setup): setup for setup in all_setups(module, BATCH)}
    steps = {name: training_step(setup, build(lower(design)), images) for name, setup in candidates.items()}
    compilations: dict[str, dict[str, Any]] = {}
    for setup in ways(module, BATCH) if compiling else []:
        if setup.channels_last and not setup.kernels:
            name = f"{name_of(setup)} compiled"
            step, compilations[name] = compiled(design, setup, images)
            steps |= {name: step} if step is not None else {}
    times = timed(steps, rounds)
    table = {name: harness.summary(values) for name, values in times.items()}
    median = {name: table[name]["median"] for name in candidates}
    best = min(median, key=median.__getitem__)
    found = [raced(design, median, best) for _ in range(races)]
    macs = cost(lower(design)).macs
    peaks = {dtype: gemm_rate(getattr(torch, dtype)) for dtype in sorted({one.dtype for one in candidates.values()})}
    rate = BATCH / median[best]
    return {
        "macs": macs,
        "setups": len(candidates),
        "best": best,
        "images_per_second": rate,
        "share_of_peak": 3 * macs * rate / peaks[candidates[best].dtype],
        "peaks (multiply-adds per second)": peaks,
        "regret": harness.summary([one["regret"] for one in found]),
        "regret_of_half_the_rounds": noise({name: times[name] for name in candidates}),
        "race_seconds": harness.summary([one["seconds"] for one in found]),
        "slowest_over_best": max(median.values()) / median[best],
        "compiled": {
            name: {**about, **({"time_over_best": table[name]["median"] / median[best]} if name in table else {})}
            for name, about in compilations.items()
        },
        "races": found,
        "seconds": dict(sorted(table.items(), key=lambda pair: pair[1]["median"])),
    }


def raced(design: Design, median: dict[str, float], best: str) -> dict[str, Any]:
    start = time.perf_counter()
    chosen = name_of(race_setups(lambda: build(lower(design)), design.input, BATCH))
    return {"chosen": chosen, "regret": median[chosen] / median[best], "seconds": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--races", type=int, default=5)
    parser.add_argument("--net", action="append", choices=DESIGNS)
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(available_threads())
    networks = {
        name: measure(DESIGNS[name], options.rounds, options.races, compiling=not options.no_compile)
        for name in options.net or DESIGNS
    }
    harness.write(
        "probe",
        {
            "command": "python benchmarks/probe.py",
            "unit": f"seconds of a training step of {BATCH} images",
            "threads": available_threads(),
            "waiting": os.environ["OMP_WAIT_POLICY"],
            "regret": "time of the setup that a race chose, over that of the fastest of all",
            "rounds": options.rounds,
            "networks": networks,
        },
    )


if __name__ == "__main__":
    main()
