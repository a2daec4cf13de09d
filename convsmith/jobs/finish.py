"""The end of every run: the network and its report become files, each proven before it is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.deploy.card import model_card
from convsmith.deploy.latency import Latency, measure_latency
from convsmith.files import write_json, write_text
from convsmith.jobs.export import write_onnx_file
from convsmith.jobs.preparation import Preparation
from convsmith.jobs.run_folder import RunFolder, TrainedNetwork
from convsmith.quantities import format_seconds
from convsmith.report.html import render_html
from convsmith.report.png import render_png
from convsmith.scaling import price
from convsmith.training.events import EventLog

Measure = Callable[[Path], Latency]

PARITY_IMAGES = 64
"""Real images that the exported file is compared on."""


def finish_run(
    folder: RunFolder,
    network: TrainedNetwork,
    report: dict[str, Any],
    sample: NDArray[np.uint8],
    *,
    started: float,
    measure: Measure | None = None,
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
    latency = (measure or on_one_thread(preparation))(folder.onnx)
    costs = {"memory_bytes": price(network.design).memory, "file_bytes": folder.onnx.stat().st_size}
    measured = {"parity": parity.to_dict(), "latency": latency.to_dict(), "costs": costs, "total": None}
    done = completed(report, measured)
    write_text(folder.path / "model_card.md", model_card(done))
    render_png(done, folder.path / "results.png")
    measured["total"] = time.monotonic() - started
    with EventLog(folder.events) as events:
        events.write("finished", sync=True, **measured)
    done = completed(report, measured)
    write_report(folder, done)
    return done


def completed(report: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """A report with what was measured of the exported file, which the event ``finished`` holds."""
    latency = measured["latency"]
    return {
        **report,
        "chosen": {**report["chosen"], "latency_ms": latency["typical_ms"], **measured["costs"]},
        "parity": measured["parity"],
        "latency": latency,
        "notes": [*report["notes"], *_over(report["budget"]["latency_ms"], latency["typical_ms"])],
        "seconds": {**report["seconds"], "total": measured["total"]},
    }


def write_report(folder: RunFolder, report: dict[str, Any]) -> None:
    """Write the page of a report, and its figures where they are complete.

    Raises:
        RunError: If a file cannot be written.
    """
    write_text(folder.path / "report.html", render_html(report))
    if not report.get("unfinished"):
        write_json(folder.report, report)


def on_one_thread(preparation: Preparation) -> Measure:
    """How an exported file is timed where nothing else is asked for."""
    shape = (preparation.side, preparation.side, preparation.channels)
    return lambda onnx: measure_latency(onnx, shape)


def _over(limit: float | None, milliseconds: float) -> list[str]:
    """What to say where the exported file is slower now than its network was before the finals."""
    if limit is None or milliseconds <= limit:
        return []
    return [
        f"The exported file takes {format_seconds(milliseconds / 1000)} an image, over the budget of "
        f"{format_seconds(limit / 1000)}, which its network kept before the finals: the machine was busy then or is "
        "now. Search again when nothing else runs, or with a smaller --latency."
    ]
