"""The end of every run: the network and its report become files, each proven before it is kept."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.deploy.card import model_card
from convsmith.deploy.latency import measure_latency
from convsmith.files import write_json, write_text
from convsmith.jobs.export import write_onnx_file
from convsmith.jobs.run_folder import RunFolder, TrainedNetwork
from convsmith.report.html import render_html
from convsmith.report.png import render_png

PARITY_IMAGES = 64
"""Real images that the exported file is compared on."""


def finish_run(
    folder: RunFolder, network: TrainedNetwork, report: dict[str, Any], sample: NDArray[np.uint8], *, started: float
) -> dict[str, Any]:
    """Write the network, its exported form, the card, the report and its pictures; returns the completed report.

    Args:
        folder: Where everything goes.
        network: The trained network.
        report: Without parity, latency and total time, which are measured here.
        sample: Real images for the parity gate, uint8 (N, side, side, C).
        started: When the job began, on the monotonic clock.

    Raises:
        GateError: If the exported file does not give the network's answers.
        RunError: If a file cannot be written.
    """
    folder.write_network(network)
    preparation = network.preparation
    parity = write_onnx_file(network, folder.onnx, sample)
    latency = measure_latency(folder.onnx, (preparation.side, preparation.side, preparation.channels))
    chosen = {**report["chosen"], "latency_ms": latency.median_ms}
    done = {**report, "chosen": chosen, "parity": parity.to_dict(), "latency": latency.to_dict()}
    write_text(folder.path / "model_card.md", model_card(done))
    render_png(done, folder.path / "results.png")
    done["seconds"] = {**done["seconds"], "total": time.monotonic() - started}
    write_text(folder.path / "report.html", render_html(done))
    write_json(folder.path / "report.json", done)
    return done
