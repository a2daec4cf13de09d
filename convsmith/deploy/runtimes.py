"""What runs a network here: onnxruntime, torch in both memory layouts, and OpenVINO where it is installed.

Each is given the same weights, the same float32 images and the same number of threads.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convsmith.errors import ModelError, one_line
from convsmith.interop.onnx_file import onnx_content, run_onnx
from convsmith.interop.torch_module import build
from convsmith.interop.weights import load_weights
from convsmith.ir import Graph
from convsmith.training.setup import Setup

Images = NDArray[np.float32]
Run = Callable[[Images], NDArray[np.float32]]
Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Runtime:
    """A program that runs networks.

    Attributes:
        package: The distribution that holds it.
        open: Makes a function from images (N, C, H, W) to scores of a network, its weights and a number of threads.
            Raises ModelError where it cannot run the network.
    """

    package: str
    open: Callable[[Graph, Weights, int], Run]

    @property
    def version(self) -> str | None:
        """Of the package; None where it is not installed."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return None


def _onnxruntime(graph: Graph, weights: Weights, threads: int) -> Run:
    return run_onnx(onnx_content(graph, weights), threads=threads)


def _torch(graph: Graph, weights: Weights, threads: int, *, channels_last: bool) -> Run:
    setup = Setup(channels_last=channels_last, threads=threads)
    module = setup.place(_built(graph, weights))

    def run(images: Images) -> NDArray[np.float32]:
        with torch.inference_mode():
            return setup.forward(module, torch.from_numpy(images)).numpy()

    return run


def _openvino(graph: Graph, weights: Weights, threads: int) -> Run:
    sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType] # it does without, too
    core = importlib.import_module("openvino").Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    try:
        request = core.compile_model(core.read_model(onnx_content(graph, weights)), "CPU", settings)
    except RuntimeError as error:
        raise ModelError(f"OpenVINO cannot load it: {one_line(error)}", where=graph.name) from error
    return lambda images: request(images)[0]


RUNTIMES: Final[Mapping[str, Runtime]] = {
    "onnxruntime": Runtime("onnxruntime", _onnxruntime),
    "torch": Runtime("torch", lambda *given: _torch(*given, channels_last=False)),
    "torch-nhwc": Runtime("torch", lambda *given: _torch(*given, channels_last=True)),
    "openvino": Runtime("openvino", _openvino),
}
"""By the names that users give them."""


def exact_scores(graph: Graph, weights: Weights, images: Images) -> NDArray[np.float64]:
    """The scores of ``images`` in float64, by which runtimes are judged."""
    with torch.inference_mode():
        return _built(graph, weights).double()(torch.from_numpy(images).double()).numpy()


def _built(graph: Graph, weights: Weights) -> nn.Module:
    module = build(graph).eval()
    load_weights(module, weights)
    return module
