"""``probe``: how fast this machine is, measured once and kept, so that a network's time is known from its graph."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from convsmith.deploy.calibrate import calibrate
from convsmith.deploy.calibration import COVERAGE, Calibration, calibration_path, this_machine, write_calibration
from convsmith.deploy.environment import machine
from convsmith.deploy.processor import caches, instruction_sets
from convsmith.errors import BudgetError
from convsmith.files import make_folder
from convsmith.jobs.step import Show, Step, ignore
from convsmith.quantities import format_seconds

SCHEMA: Final = "convsmith/probe/1"
_BFLOAT16: Final = {"avx512_bf16", "amx_bf16", "bf16"}
_SIDE: Final = 1536
_COPIED: Final = 2**27
_PEAK_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Probe:
    """The speed of this machine.

    Attributes:
        machine: Processor, cores this process may use, memory and system.
        threads: Threads that everything was measured with.
        instruction_sets: Those that matter to networks, as Linux names them.
        caches: Bytes of the first, second and last cache.
        gemm_float32: Multiply-adds in a second of a large matrix product.
        gemm_bfloat16: The same in bfloat16; None where the processor does not compute in it.
        copy_bandwidth: Bytes read and written in a second by copying what no cache holds.
        calibration: What makes times from graphs.
        path: Where that is kept.
    """

    machine: dict[str, Any]
    threads: int
    instruction_sets: tuple[str, ...]
    caches: tuple[int, int, int]
    gemm_float32: float
    gemm_bfloat16: float | None
    copy_bandwidth: float
    calibration: Calibration
    path: Path

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` data."""
        low, high = self.calibration.spread
        return {
            "schema": SCHEMA,
            **self.machine,
            "threads": self.threads,
            "instruction_sets": list(self.instruction_sets),
            "caches": list(self.caches),
            "gemm_float32_macs_per_second": self.gemm_float32,
            "gemm_bfloat16_macs_per_second": self.gemm_bfloat16,
            "copy_bytes_per_second": self.copy_bandwidth,
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
        seconds: About how long to take; half a minute gives usable estimates, a minute good ones.
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
    flags = instruction_sets()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        float32, copied = _gemm_rate(torch.float32), _copy_rate()
        bfloat16 = None if _BFLOAT16.isdisjoint(flags) else _gemm_rate(torch.bfloat16)
    finally:
        torch.set_num_threads(before)
    left = seconds - (time.perf_counter() - start)

    def pass_on(share: float) -> None:
        show(Step("timing networks", share, f"{format_seconds(share * left)} of {format_seconds(left)}"))

    calibration = calibrate(threads=threads, seconds=left, progress=pass_on)
    path = write_calibration(calibration)
    return Probe(here, threads, flags, caches(), float32, bfloat16, copied, calibration, path)


def _gemm_rate(dtype: torch.dtype) -> float:
    left, right = torch.randn(2, _SIDE, _SIDE).to(dtype)
    return _SIDE**3 / _least_seconds(lambda: left @ right)


def _copy_rate() -> float:
    source, target = torch.ones(2, _COPIED, dtype=torch.uint8)
    return 2 * _COPIED / _least_seconds(lambda: target.copy_(source))


def _least_seconds(task: Callable[[], object]) -> float:
    """The least time of some repetitions, after one that does not count: a peak is what nothing disturbed."""
    task()
    times: list[float] = []
    end = time.perf_counter() + _PEAK_SECONDS
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return min(times)
