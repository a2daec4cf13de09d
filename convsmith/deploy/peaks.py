"""What this machine does in a second at best, where nothing but one kind of work holds it up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

from convsmith.processor import computes_bfloat16
from convsmith.training.device import Device, wait_for
from convsmith.training.setup import Setup

_SIDE: Final = 1536
_CARD_SIDE: Final = 8192
_COPIED: Final = 2**27
_PEAK_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Peaks:
    """The best of some repetitions.

    Attributes:
        gemm_float32: Multiply-adds in a second of a large matrix product.
        gemm_bfloat16: The same in bfloat16; None where the processor does not compute in it.
        copy_bandwidth: Bytes read and written in a second by copying what no cache holds.
    """

    gemm_float32: float
    gemm_bfloat16: float | None
    copy_bandwidth: float


def measure_peaks(threads: int) -> Peaks:
    """The peaks with that many threads of torch; takes about three seconds."""
    with Setup(threads=threads).threads_set():
        bfloat16 = gemm_rate(torch.bfloat16) if computes_bfloat16() else None
        return Peaks(gemm_rate(torch.float32), bfloat16, _copy_rate())


def gemm_rate(dtype: torch.dtype, device: Device = "cpu") -> float:
    """Multiply-adds in a second of a large matrix product; takes about a second."""
    side = _SIDE if device == "cpu" else _CARD_SIDE
    left, right = torch.randn(2, side, side).to(device, dtype)

    def multiply() -> None:
        _ = left @ right
        wait_for(device)

    return side**3 / _least_seconds(multiply)


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
