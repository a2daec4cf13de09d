"""The model card: what the network is, how to feed it, and how far to trust it, from the report of its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convsmith.quantities import format_count, format_percent, format_shape


def model_card(report: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    chosen, accuracy, data, parity = (report[key] for key in ("chosen", "accuracy", "data", "parity"))
    side, channels = data["side"], data["channels"]
    low, high = accuracy["ci95"]
    classes = ", ".join(str(name).replace("\n", " ") for name in data["classes"])
    return f"""# {report["name"]}

{report["sentence"]}

## Use

`model.onnx` takes `pixels`, uint8 of shape (batch, {side}, {side}, {channels}), values 0 to 255 as image libraries give
them, and returns `logits`, float32 (batch, {len(data["classes"])}). Everything else is inside the file. An image of
another size is brought to {side}x{side} first ({_fit(data["fit"])}, antialiased bilinear).

Classes, in the order of the logits: {classes}.

## Figures

| what | value |
|---|---|
| test accuracy | {format_percent(accuracy["test"], 2)} (95 %: {format_percent(low, 2)} to {format_percent(high, 2)}), \
{accuracy["images"]:,} images, {accuracy["seeds"]} training runs |
| log loss, calibration error | {accuracy["log_loss"]:.4f}, {format_percent(accuracy["calibration_error"], 2)} |
| multiply-adds, parameters | {format_count(chosen["macs"])}, {format_count(chosen["params"])} |
| network input | {format_shape(chosen["input"])} |
| time for one image | {_latency(chosen["latency_ms"])} on {report["machine"]["cpu"]}, 1 thread |
| parity with the trained network | largest relative difference {parity["relative"]:.2g} on {parity["images"]} images |

## Data

{data["images"]:,} images: {data["train"]:,} to learn from, {data["select"]:,} to choose by, {data["test"]:,} looked at
once, for the figures above. {len(report["rejected"])} files could not be read and were left out.

## Limits

The figures hold for images like those it was tested on. It always answers with one of its classes, whatever the image.

## Recompute

`convsmith evaluate RUN IMAGES` judges the network again; `events.ndjson` holds every training behind `report.json`.
Seed {report["seed"]}; {", ".join(f"{name} {number}" for name, number in report["versions"].items())}.
"""


def _fit(fit: str) -> str:
    return "the sides scaled separately" if fit == "squash" else "the whole image kept, grey around it"


def _latency(milliseconds: float | None) -> str:
    return "not measured" if milliseconds is None else f"{milliseconds:.3g} ms"
