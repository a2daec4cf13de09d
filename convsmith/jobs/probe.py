"""``probe``: how fast this machine is, measured once and kept, and which setup trains a network fastest on it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from convsmith.deploy.calibrate import calibrate
from convsmith.deploy.calibration import COVERAGE, Calibration, calibration_path, this_machine, write_calibration
from convsmith.deploy.environment import machine
from convsmith.deploy.peaks import Peaks, measure_peaks
from convsmith.design import Design
from convsmith.errors import BudgetError
from convsmith.files import make_folder
from convsmith.jobs.references import read_reference
from convsmith.jobs.step import Show, Step, ignore
from convsmith.jobs.training_setups import TrainingSetups, race_training_setups
from convsmith.processor import available_threads, instruction_sets
from convsmith.quantities import format_seconds, in_units, parse_seconds
from convsmith.training.recipe import Recipe

SCHEMA: Final = "convsmith/probe/1"
RACE_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Probe:
    """The speed of this machine.

    Attributes:
        machine: Processor, cores this process may use, memory and system.
        instruction_sets: Those that matter to networks, as Linux names them.
        peaks: What it does at best.
        calibration: What makes times from graphs.
        training: How a network is trained fastest, if one was given.
    """

    machine: dict[str, Any]
    instruction_sets: tuple[str, ...]
    peaks: Peaks
    calibration: Calibration
    training: TrainingSetups | None = None

    @property
    def threads(self) -> int:
        """Threads that everything was measured with."""
        return self.calibration.machine.threads

    @property
    def caches(self) -> tuple[int, int, int]:
        """Bytes of the first, second and last cache."""
        return self.calibration.hardware.caches

    @property
    def path(self) -> Path:
        """Where the calibration is kept."""
        return calibration_path(self.calibration.machine)

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data."""
        low, high = self.calibration.spread
        return {
            "schema": SCHEMA,
            **self.machine,
            "threads": self.threads,
            "instruction_sets": list(self.instruction_sets),
            "caches": list(self.caches),
            "gemm_float32_macs_per_second": self.peaks.gemm_float32,
            "gemm_bfloat16_macs_per_second": self.peaks.gemm_bfloat16,
            "copy_bytes_per_second": self.peaks.copy_bandwidth,
            "latency": {
                "onnxruntime": self.calibration.machine.onnxruntime,
                "networks": len(self.calibration.ratios),
                "held_out_error": self.calibration.error,
                "interval": [low, high],
                "coverage": COVERAGE,
                "path": str(self.path),
            },
            "training": self.training.to_dict() if self.training is not None else None,
        }


def probe(
    design: str | Path | Design | None = None,
    *,
    threads: int = 1,
    seconds: float | str = 60.0,
    batch: int = Recipe().batch,
    race_seconds: float | str = RACE_SECONDS,
    show: Show = ignore,
) -> Probe:
    """Measure this machine and keep the result in the cache, in place of an older one.

    With a network, the setups for its training (number type, layout, kernels, threads, images at a time) are raced as
    well, on a card where there is one; trainings of it with the same batch then begin with the best.

    Args:
        design: A design file, ``zoo:NAME``, a run folder or a design.
        threads: Threads of onnxruntime and of the peaks.
        seconds: About how long to measure the machine.
        batch: Images per training step.
        race_seconds: About how long to race the setups; large networks take at least a few steps in each.
        show: Told of the progress.

    Raises:
        BudgetError: If there are no threads, or more than cores that this process may use; or if a batch has fewer
            than two images.
        ModelError: If there is no such network.
        RunError: If the cache cannot be written.
    """
    seconds, race_seconds = in_units(seconds, parse_seconds), in_units(race_seconds, parse_seconds)
    network = read_reference(design) if isinstance(design, str | Path) else design
    if batch < 2:
        raise BudgetError("a batch must have at least 2 images, because of batch norm", received=batch, where="probe")
    here = machine()
    check_threads(threads, "probe")
    make_folder(calibration_path(this_machine(threads)).parent)  # a cache that cannot be written is told at once
    start = time.perf_counter()
    peaks = measure_peaks(threads)
    left = max(seconds - (time.perf_counter() - start), 1.0)

    def pass_on(share: float) -> None:
        show(Step("timing networks", share, f"{format_seconds(share * left)} of {format_seconds(left)}"))

    calibration = calibrate(threads=threads, seconds=left, progress=pass_on)
    write_calibration(calibration)
    training = None
    if network is not None:
        show(Step("racing training setups", 0.0, f"about {format_seconds(race_seconds)}"))
        training = race_training_setups(network, batch=batch, seconds=race_seconds)
        show(Step("racing training setups", 1.0, f"{len(training.rows)} tried"))
    return Probe(here, instruction_sets(), peaks, calibration, training)


def check_threads(threads: int, where: str) -> int:
    """The number of threads, if there are as many cores.

    Raises:
        BudgetError: If there are none, or more than cores that this process may use.
    """
    cores = available_threads()
    if not 1 <= threads <= cores:
        raise BudgetError(f"threads must be 1 to {cores}, the cores at hand", received=threads, where=where)
    return threads
