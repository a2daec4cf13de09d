"""Real ONNX files: how long reading takes, what is not understood, and how far the rebuilt network is from onnxruntime.

The input is a page of printed text in [-1, 1], which text detectors and readers answer with numbers of a usual size; of
a network that finds nothing the output is so small that onnxruntime's own sigmoid is off by more than it. The measure
is the length of the difference over the length of the output; the largest single difference, in units of the largest
number, stands beside it, and both also for onnxruntime against itself with its optimisations on and off.

    python benchmarks/onnx_real.py FOLDER [NAME=CxHxW ...]

NAME is part of a file's name; the size is needed where the file leaves it open. The files of PP-OCR come with
``pip download --no-deps rapidocr-onnxruntime`` (a wheel is a zip archive):

    python benchmarks/onnx_real.py models det=3x320x480 rec=3x48x320 cls=3x48x192
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from convsmith.analysis import cost
from convsmith.errors import ConvsmithError
from convsmith.interop.onnx_reader import read_onnx
from convsmith.interop.onnx_source import open_source
from convsmith.interop.reading import Reading
from convsmith.interop.torch_module import build
from convsmith.interop.weights import load_weights

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.interop.helpers import by_runtime

GOAL = 1e-5
REPEATS = 5


def page(channels: int, height: int, width: int) -> Any:
    """Lines of text, black on white, as (1, channels, height, width) in [-1, 1]."""
    image = Image.new("L", (width, height), 255)
    draw, size = ImageDraw.Draw(image), min(32, height * 2 // 3)
    font = ImageFont.load_default(size)
    for line, top in enumerate(range(height // 12, height - size, 2 * size)):
        draw.text((width // 20, top), f"Reading {line}: convolution 0123456789", 0, font)
    pixels = np.asarray(image, np.float32) / 127.5 - 1
    return np.ascontiguousarray(np.broadcast_to(pixels, (1, channels, height, width)))


def distance(got: Any, want: Any) -> dict[str, float]:
    """How far ``got`` is from ``want``, all numbers together and at worst."""
    difference = np.asarray(got, np.float64) - want
    return {
        "relative": float(np.linalg.norm(difference) / np.linalg.norm(want)),
        "worst": float(np.abs(difference).max() / np.abs(want).max()),
    }


def disagreement(path: Path, reading: Reading) -> dict[str, Any]:
    """The rebuilt network, in single and in double precision, and onnxruntime itself, against onnxruntime."""
    ((_, type),) = reading.graph.inputs
    image = page(*type.shape[1:])
    want = by_runtime(path, [image])[0]
    module = build(reading.graph).eval()
    assert reading.weights is not None
    load_weights(module, reading.weights)
    with torch.no_grad():
        single = module(torch.from_numpy(image)).numpy()
        double = module.double()(torch.from_numpy(image).double()).numpy()
    return {
        "largest_output": float(np.abs(want).max()),
        "single": distance(single, want),
        "double": distance(double, want),
        "onnxruntime": distance(by_runtime(path, [image], optimised=True)[0], want),
    }


def measure(path: Path, sizes: dict[str, tuple[int, int, int]]) -> dict[str, Any]:
    size = next((size for name, size in sizes.items() if name in path.name), None)
    row: dict[str, Any] = {"file": path.name}
    try:
        source = open_source(path)
        row |= {"opset": source.opset, "nodes": len(source.model.graph.node)}
        reading = read_onnx(path, input=size)
    except ConvsmithError as error:
        return {**row, "refused": str(error)}
    seconds = harness.interleaved({"read": lambda: read_onnx(path, input=size)}, REPEATS)["read"]
    totals = cost(reading.graph)
    row |= {
        "input": list(reading.graph.inputs[0][1].shape),
        "rows": len(reading.graph.nodes),
        "params": totals.params,
        "macs": totals.macs,
        "read_seconds": seconds,
        "unknown": [str(unknown) for unknown in reading.unknown],
    }
    return row if reading.unknown else {**row, "disagreement": disagreement(path, reading)}


def main() -> None:
    folder, *given = sys.argv[1:]
    pairs = (text.split("=") for text in given)
    sizes: Any = {name: tuple(map(int, size.split("x"))) for name, size in pairs}
    rows = [measure(path, sizes) for path in sorted(Path(folder).rglob("*.onnx"))]
    compared = [row["disagreement"]["single"]["relative"] for row in rows if "disagreement" in row]
    harness.write(
        "onnx_real",
        {
            "goals": {"disagreement": GOAL},
            "files": len(rows),
            "compared": len(compared),
            "largest_disagreement": max(compared, default=None),
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
