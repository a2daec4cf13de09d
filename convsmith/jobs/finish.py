"""The end of every run: the network and its report become files, each proven before it is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.deploy.card import model_card
from convsmith.deploy.latency import Latency, measure_latency
from convsmith.files import write_json, write_text
from convsmith.jobs.export import write_onnx_file
from convsmith.jobs.run_folder import RunFolder, TrainedNetwork
from convsmith.quantities import format_seconds
from convsmith.report.html import render_html
from convsmith.report.png import render_png
from convsmith.scaling import price

PARITY_IMAGES = 64
"""Real images that the exported file is compared on."""


def finish_run(
    folder: RunFolder,
    network: TrainedNetwork,
    report: dict[str, Any],
    sample: NDArray[np.uint8],
    *,
    started: float,
    measure: Callable[[Path], Latency] | None = None,
) -> dict[str, Any]:
    """Write the network, its exported form, the card, the report and its pictures; returns the completed report.

    Args:
        folder: Where everything goes.
        network: The trained network.
        report: Without parity, latency and total time, which are measured here.
        sample: Real images for the parity gate, uint8 (N, side, side, C).
        started: When the job began, on the monotonic clock.
        measure: Times the exported file; by default on one thread.

    Raises:
        GateError: If the exported file does not give the network's answers.
        RunError: If a file cannot be written.
    """
    folder.write_network(network)
    preparation = network.preparation
    parity = write_onnx_file(network, folder.onnx, sample)
    shape = (preparation.side, preparation.side, preparation.channels)
    latency = measure_latency(folder.onnx, shape) if measure is None else measure(folder.onnx)
    chosen = {
        **report["chosen"],
        "latency_ms": latency.typical_ms,
        "memory_bytes": price(network.design).memory,
        "file_bytes": folder.onnx.stat().st_size,
    }
    done = {**report, "chosen": chosen, "parity": parity.to_dict(), "latency": latency.to_dict()}
    done["notes"] = [*report["notes"], *_over(report["budget"]["latency_ms"], latency)]
    write_text(folder.path / "model_card.md", model_card(done))
    render_png(done, folder.path / "results.png")
    done["seconds"] = {**done["seconds"], "total": time.monotonic() - started}
    write_text(folder.path / "report.html", render_html(done))
    write_json(folder.path / "report.json", done)
    return done


def _over(limit: float | None, latency: Latency) -> list[str]:
    """What to say where the exported file is slower now than its network was before the finals."""
    if limit is None or latency.typical_ms <= limit:
        return []
    return [
        f"The exported file takes {format_seconds(latency.typical_ms / 1000)} an image, over the budget of "
        f"{format_seconds(limit / 1000)}, which its network kept before the finals: the machine was busy then or is "
        "now. Search again when nothing else runs, or with a smaller --latency."
    ]
