"""``probe``: how fast this machine is, measured once and kept, so that a network's time is known from its graph."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from convsmith.deploy.calibrate import calibrate
from convsmith.deploy.calibration import COVERAGE, Calibration, calibration_path, this_machine, write_calibration
from convsmith.deploy.environment import machine
from convsmith.deploy.peaks import Peaks, measure_peaks
from convsmith.errors import BudgetError
from convsmith.files import make_folder
from convsmith.jobs.step import Show, Step, ignore
from convsmith.processor import instruction_sets
from convsmith.quantities import format_seconds

SCHEMA: Final = "convsmith/probe/1"


@dataclass(frozen=True)
class Probe:
    """The speed of this machine.

    Attributes:
        machine: Processor, cores this process may use, memory and system.
        instruction_sets: Those that matter to networks, as Linux names them.
        peaks: What it does at best.
        calibration: What makes times from graphs.
    """

    machine: dict[str, Any]
    instruction_sets: tuple[str, ...]
    peaks: Peaks
    calibration: Calibration

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
        }


def probe(*, threads: int = 1, seconds: float = 60.0, show: Show = ignore) -> Probe:
    """Measure this machine and keep the result in the cache, in place of an older one.

    Args:
        threads: Threads of onnxruntime and of the peaks.
        seconds: About how long to take.
        show: Told of the progress.

    Raises:
        BudgetError: If there are no threads, or more than cores that this process may use.
        RunError: If the cache cannot be written.
    """
    here = machine()
    if not 1 <= threads <= here["cores"]:
        raise BudgetError(f"threads must be 1 to {here['cores']}, the cores at hand", received=threads, where="probe")
    make_folder(calibration_path(this_machine(threads)).parent)  # a cache that cannot be written is told at once
    start = time.perf_counter()
    peaks = measure_peaks(threads)
    left = seconds - (time.perf_counter() - start)

    def pass_on(share: float) -> None:
        show(Step("timing networks", share, f"{format_seconds(share * left)} of {format_seconds(left)}"))

    calibration = calibrate(threads=threads, seconds=left, progress=pass_on)
    write_calibration(calibration)
    return Probe(here, instruction_sets(), peaks, calibration)
