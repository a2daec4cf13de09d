"""The end of a run, tried before its training: what it takes is kept free of a budget in minutes.

The network is exported and held against the exported file with its first weights, and judges a few images. That also
shows before hours of training what cannot be exported.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data import Normalisation, Rows
from convsmith.errors import TrainingError
from convsmith.jobs.export import write_onnx_file
from convsmith.jobs.finish import Measure, on_one_thread
from convsmith.jobs.run_folder import TrainedNetwork
from convsmith.quantities import format_seconds
from convsmith.training.budget import Outside
from convsmith.training.evaluate import logits
from convsmith.training.setup import Setup

_REPORT_SECONDS: Final = 1.5  # report and pictures
_LEAST_SHARE: Final = 0.1  # of the time that the training itself should have


def rehearse(
    network: TrainedNetwork,
    sample: NDArray[np.uint8],
    judge: Rows,
    normalisation: Normalisation,
    setup: Setup,
    *,
    started: float,
    more: int = 0,
    measure: Measure | None = None,
) -> Outside:
    """What of a run's time is not its training's.

    Args:
        network: As it is before the training.
        sample: Real images for the parity gate, uint8 (N, side, side, C), in the size that the exported file takes.
        judge: The images that are judged at the end, in the size that the network takes.
        normalisation: Of the training.
        setup: Of the training.
        started: When the run's time began, on the monotonic clock.
        more: Images that go through the network besides when its training is over.
        measure: Times the exported file; by default on one thread.

    Raises:
        GateError: If the exported file does not give the network's answers.
    """
    measure = measure or on_one_thread(network.preparation)
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "model.onnx"
        after = _seconds(lambda: write_onnx_file(network, onnx, sample)) + _seconds(lambda: measure(onnx))
    module, few = network.module, judge[: setup.batch_forward]
    pace = min(_seconds(lambda: logits(module, few, normalisation, setup)) for _ in range(2)) / len(few)
    return Outside(time.monotonic() - started, after + _REPORT_SECONDS, len(judge) + more, pace)


def check_time(outside: Outside, seconds: float) -> None:
    """Raise a ``TrainingError`` if too little of a run's time is left for its training."""
    needed = outside.seconds()
    if seconds - needed < _LEAST_SHARE * seconds:
        least = format_seconds(needed / (1 - _LEAST_SHARE))
        rule = (
            f"minutes must leave time to train: up to here it took {format_seconds(outside.before)}, "
            f"and judging and exporting will take {format_seconds(needed - outside.before)}"
        )
        remedy = f"give at least {least}; what was prepared is kept"
        raise TrainingError(rule, received=format_seconds(seconds), where="minutes", remedy=remedy)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
