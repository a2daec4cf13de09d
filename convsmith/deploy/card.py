"""The model card: what the network is, how to feed it, and how far to trust it, from the report of its run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from convsmith.quantities import format_count, format_percent, format_seconds, format_shape

Report = Mapping[str, Any]


def model_card(report: Report) -> str:
    """The card as Markdown, from the content of ``report.json``."""
    parts = (
        f"# {_plain(report['name'])}\n\n{_plain(report['sentence'])}",
        f"## Use\n\n{_use(report)}",
        f"## Figures\n\n{_figures(report)}",
        f"## Data\n\n{_data(report)}",
        f"## Limits\n\n{_limits(report)}",
        f"## Recompute\n\n{_recompute(report)}",
    )
    return "\n\n".join(parts) + "\n"


def _use(report: Report) -> str:
    data = report["data"]
    side, channels, count = data["side"], data["channels"], len(data["classes"])
    colour = "grey" if channels == 1 else "red, green, blue"
    shape = "squashed" if data["fit"] == "squash" else "scaled as a whole onto mid grey (128), centred,"
    return f"""\
`model.onnx` takes `pixels`, uint8 (batch, {side}, {side}, {channels}): {colour}, 0 to 255, as image libraries give
them. It returns `logits`, float32 (batch, {count}); their softmax gives probabilities. Resampling to the network's
{format_shape(report["chosen"]["input"])} and normalisation are inside the file: do neither before.

An image of another size or shape is first {shape} to {side}x{side} with Pillow's antialiased bilinear filter
(`Image.resize((width, height), Image.Resampling.BILINEAR)`).

```python
session = onnxruntime.InferenceSession("model.onnx")
logits = session.run(None, {{"pixels": pixels}})[0]
```

onnxruntime for Linux keeps a record of sessions to report to its maker, unless `ORT_DISABLE_TELEMETRY=1` is set.

Classes, in the order of the logits:

{_listed(f"{number}. {_plain(name)}" for number, name in enumerate(data["classes"]))}"""


def _figures(report: Report) -> str:
    chosen, accuracy, parity = report["chosen"], report["accuracy"], report["parity"]
    long = report.get("delivered", {"of_finals": 1.0})
    finals = f"{_accuracy(accuracy)}; {accuracy['images']:,} images, trainings: {accuracy['seeds']}"
    spent = report["budget"]["macs"]
    time, threads = chosen["latency_ms"], report.get("latency", {}).get("threads", 1)
    rows = {
        **(
            {"test accuracy": finals}
            if long["of_finals"] <= 1
            else {
                "test accuracy": f"{_accuracy(long)}; {accuracy['images']:,} images",
                "of shorter trainings, beside other networks": finals,
            }
        ),
        "log loss": f"{accuracy['log_loss']:.4f} nats",
        "calibration error": format_percent(accuracy["calibration_error"], 2),
        "multiply-adds": format_count(chosen["macs"]) + (f" of {format_count(spent)} allowed" if spent else ""),
        "parameters": format_count(chosen["params"]),
        "time for one image": "not measured"
        if time is None
        else f"{format_seconds(time / 1e3)}, onnxruntime, threads: {threads}, {_plain(report['machine']['cpu'])}",
        "file against trained network": f"largest relative difference of a logit {parity['relative']:.2g} "
        f"(at most {parity['tolerance']:g}), same answer for {format_percent(parity['agreement'])} "
        f"of {parity['images']:,} images",
    }
    return "| what | value |\n|---|---|\n" + _listed(f"| {what} | {value} |" for what, value in rows.items())


def _accuracy(found: Report) -> str:
    low, high = (format_percent(end, 2) for end in found["ci95"])
    return f"{format_percent(found['test'], 2)} (95 %: {low} to {high})"


def _data(report: Report) -> str:
    data, rejected = report["data"], len(report["rejected"])
    return f"""\
{_plain(data["source"])}: {data["images"]:,} images. {data["train"]:,} to learn from, {data["select"]:,} to choose by,
{data["test"]:,} kept for the figures above. Files that could not be read and were left out: {rejected:,}. Images found
under two splits: {data["leaks"]:,}. The shorter side of the originals is {data["native"]} pixels in the median."""


def _limits(report: Report) -> str:
    notes = _listed(f"- {_plain(note)}" for note in report["notes"])
    limits = f"""\
- The figures hold for images like those it was tested on: same source, same kind of picture.
- It always answers with one of its {len(report["data"]["classes"])} classes, whatever the image shows.
- The time was measured on the machine named above; another one may differ by factors."""
    return f"{limits}\n{notes}" if notes else limits


def _recompute(report: Report) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    return f"""\
`convsmith evaluate RUN IMAGES` judges the network again. `report.json` holds every figure, `events.ndjson` every
training behind them; `report.html` says how one follows from the other. Seed {report["seed"]}.

{_plain(versions)}"""


def _plain(text: object) -> str:
    """Text that Markdown takes as it is: one line, every mark that could mean something escaped."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", line)


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(lines)
