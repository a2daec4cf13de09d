"""How long one image takes on this machine."""

from __future__ import annotations

import dataclasses
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from convsmith.interop.onnx_file import run_onnx


@dataclasses.dataclass(frozen=True)
class Latency:
    """Milliseconds for a batch of one: the median of ``repeats`` runs and their tenth and ninetieth percentile."""

    median_ms: float
    p10_ms: float
    p90_ms: float
    threads: int
    repeats: int
    runtime: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return dataclasses.asdict(self)


def measure_latency(onnx: Path, shape: tuple[int, int, int], *, threads: int = 1, repeats: int = 50) -> Latency:
    """Time an exported file on random pixels of ``shape`` (height, width, channels), after a warm-up."""
    session = run_onnx(onnx, threads=threads)
    pixels = np.random.default_rng(0).integers(0, 256, (1, *shape), dtype=np.uint8)
    for _ in range(max(3, repeats // 10)):
        session(pixels)
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        session(pixels)
        times.append(1e3 * (time.perf_counter() - start))
    p10, median, p90 = (float(value) for value in np.percentile(times, (10, 50, 90)))
    return Latency(median, p10, p90, threads, repeats, f"onnxruntime {version('onnxruntime')}")
