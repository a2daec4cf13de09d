"""Is the time of a network known from its graph? Estimates against onnxruntime, on networks that no calibration saw.

This machine is calibrated for a minute, as `convsmith probe` does; then the zoo, at other widths, depths, resolutions
and with other blocks, is timed in three passes, one thread, and held against the estimates. Beside them stand the
floors: multiply-adds, and multiply-adds with activations, each fitted to these very measurements (5-fold, relative
least squares), which the estimates are not.

    python benchmarks/latency.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import harness
import numpy as np
from scipy.stats import spearmanr

from convsmith.analysis import cost
from convsmith.deploy.calibrate import calibrate
from convsmith.deploy.roofline import estimate
from convsmith.deploy.stopwatch import time_networks
from convsmith.deploy.trials import make_weights
from convsmith.design import Design, lower, zoo
from convsmith.ir import Graph
from convsmith.scaling.axes import Factors, scale

PASSES = 3
SCALES = (
    Factors(),
    Factors(width=0.5, resolution=4 / 7),
    Factors(width=0.75, resolution=5 / 7),
    Factors(depth=0.6, resolution=3 / 7),
    Factors(depth=1.4, width=0.35, resolution=6 / 7),
)
EDITS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet50, groups 8": ("resnet50", {"groups": 8}),
    "resnet18, SE": ("resnet18", {"se_ratio": 0.25}),
    "resnet34, 5x5": ("resnet34", {"kernel": 5}),
    "mobilenet-v1, 5x5": ("mobilenet-v1", {"kernel": 5}),
    "mobilenet-v2, hard swish": ("mobilenet-v2", {"activation": "hardswish"}),
    "mobilenet-v2, expansion 3": ("mobilenet-v2", {"expansion": 3.0}),
    "efficientnet-b0, no SE": ("efficientnet-b0", {"se_ratio": 0.0}),
    "efficientnet-b0, ReLU": ("efficientnet-b0", {"activation": "relu"}),
}
PUBLISHED = {"i7-12700H": {"median_ape": 0.10, "within_10": 0.49}, "i9-10940X": {"median_ape": 0.21, "within_10": 0.23}}
"""The second floor, fitted in the same way to the times that timm's benchmark tables (`results/` of
pytorch-image-models) give for 1,440 and 1,434 networks in torch, batch 1, float32, on these processors."""


def networks() -> Iterator[tuple[str, Graph]]:
    for name in zoo.names():
        for factors in SCALES:
            design = scale(zoo.load(name), factors)
            side = "x".join(map(str, design.input[1:]))
            yield f"{name} depth {factors.depth:g} width {factors.width:g} at {side}", lower(design)
    for name, (base, changes) in EDITS.items():
        yield name, lower(edited(zoo.load(base), changes))


def edited(design: Design, changes: dict[str, Any]) -> Design:
    stages = tuple(stage.model_copy(update=changes) for stage in design.stage)
    return scale(design.model_copy(update={"stage": stages}), Factors(resolution=5 / 7))


def measure(graphs: Sequence[Graph]) -> list[float]:
    """Seconds, the least of some passes over all networks: a slow moment of the machine spoils one figure of three."""
    passes = [
        [time_networks([(graph, make_weights(graph))], seconds=0.3)[0].total for graph in graphs] for _ in range(PASSES)
    ]
    return [min(times) for times in zip(*passes, strict=True)]


def floor(columns: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Times predicted by linear forms of ``columns``, each fitted to the four fifths it does not predict."""
    predicted = np.empty_like(seconds)
    folds = np.random.default_rng(0).permutation(len(seconds)) % 5
    for fold in range(5):
        rest, left = folds != fold, folds == fold
        weights, *_ = np.linalg.lstsq(columns[rest] / seconds[rest, None], np.ones(rest.sum()), rcond=None)
        predicted[left] = columns[left] @ weights
    return predicted


def judge(predicted: np.ndarray, seconds: np.ndarray) -> dict[str, float]:
    error = np.abs(predicted / seconds - 1)
    return {
        "median_ape": float(np.median(error)),
        "within_10": float(np.mean(error <= 0.1)),
        "worst": float(error.max()),
        "spearman": float(spearmanr(predicted, seconds).statistic),
    }


def main() -> None:
    started = time.perf_counter()
    calibration = calibrate(seconds=60)
    spent = time.perf_counter() - started
    names, graphs = zip(*networks(), strict=True)
    costs = [cost(graph).totals() for graph in graphs]
    estimates, asking = [], []
    for graph in graphs:
        start = time.perf_counter()
        estimates.append(estimate(graph, calibration))
        asking.append(time.perf_counter() - start)
    seconds = np.array(measure(graphs))
    macs, acts = (np.array([total[key] for total in costs], float) for key in ("macs", "activations"))
    ones = np.ones_like(macs)
    predicted = np.array([guess.seconds for guess in estimates])
    inside = [guess.low <= time <= guess.high for guess, time in zip(estimates, seconds, strict=True)]
    harness.write(
        "latency",
        {
            "clock": "time that the processor gave to the one thread, least median of "
            f"{PASSES} passes of 3 rounds; the machine has other users",
            "calibration": {
                "seconds": round(spent, 1),
                "networks": len(calibration.ratios),
                "held_out_error": calibration.error,
                "interval": calibration.spread,
            },
            "networks": len(graphs),
            "estimate": {**judge(predicted, seconds), "inside_interval": float(np.mean(inside))},
            "estimate_milliseconds": {"median": 1e3 * statistics.median(asking), "maximum": 1e3 * max(asking)},
            "fitted_floor_macs": judge(floor(np.stack([macs, ones], 1), seconds), seconds),
            "fitted_floor_macs_activations": judge(floor(np.stack([macs, acts, ones], 1), seconds), seconds),
            "published_floor_macs_activations": PUBLISHED,
            "table": [
                {
                    "network": name,
                    "macs": int(total["macs"]),
                    "activations": int(total["activations"]),
                    "measured_ms": round(1e3 * float(second), 4),
                    "estimated_ms": round(1e3 * guess.seconds, 4),
                    "error": round(guess.seconds / float(second) - 1, 4),
                }
                for name, total, second, guess in zip(names, costs, seconds, estimates, strict=True)
            ],
        },
    )


if __name__ == "__main__":
    main()
