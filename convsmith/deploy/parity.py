"""The parity gate: does the exported file give the same answers as the trained network, on real images?

The reference shares nothing with the file but the weights: preprocessing in numpy float64 and the torch module in
float64. Differences are judged relative to the largest logit, for that is the scale on which float32 rounds.
"""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convsmith.interop.onnx_file import Preprocess, run_onnx

BATCHES: Final = (1, 2, 7)
TOLERANCE: Final = 1e-4


@dataclasses.dataclass(frozen=True)
class Parity:
    """How far a file is from its network.

    Attributes:
        images: Real images compared.
        batches: Batch sizes the file was run with.
        absolute: Largest difference of a logit.
        relative: The same over the largest logit of the reference.
        agreement: Share of images with the same answer; answers closer together than the tolerance count as the same.
        tolerance: Largest relative difference that passes.
    """

    images: int
    batches: tuple[int, ...]
    absolute: float
    relative: float
    agreement: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the gate lets the file through."""
        return self.relative <= self.tolerance and self.agreement == 1.0

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**dataclasses.asdict(self), "batches": list(self.batches), "passed": self.passed}


def check_parity(
    onnx: Path, module: nn.Module, preprocess: Preprocess, images: NDArray[np.uint8], *, tolerance: float = TOLERANCE
) -> Parity:
    """Compare an ONNX file with the network it came from, in batches of 1, 2 and 7.

    Args:
        onnx: Takes uint8 pixels (N, H, W, C) and gives logits.
        module: The trained network; left as it is.
        preprocess: What the file should do to the pixels.
        images: uint8 (N, H, W, C), at least one; fewer than a batch are repeated, so that each size really runs.
        tolerance: Largest relative difference that passes.

    Raises:
        ModelError: If the file cannot be loaded or does not take the images.
    """
    assert len(images) > 0
    rows = np.resize(np.arange(len(images)), max(len(images), *BATCHES))
    pixels, expected = images[rows], _reference(module, preprocess, images)[rows]
    run = run_onnx(onnx)
    scale = float(np.abs(expected).max()) or 1.0
    differences, agreeing = [0.0], np.ones(len(rows), dtype=bool)
    for batch in BATCHES:
        logits = np.concatenate([run(pixels[start : start + batch]) for start in range(0, len(rows), batch)])
        assert logits.shape == expected.shape, f"the file gives {logits.shape}, the network {expected.shape}"
        differences.append(_largest(np.abs(logits - expected)))
        agreeing &= _same_answer(logits, expected, tolerance * scale)
    absolute, agreement = max(differences), float(agreeing[: len(images)].mean())
    return Parity(len(images), BATCHES, absolute, absolute / scale, agreement, tolerance)


def _largest(differences: NDArray[np.float64]) -> float:
    """The largest difference; infinite where a logit is not a number, which no comparison would notice."""
    return float(differences.max()) if np.isfinite(differences).all() else np.inf


def _reference(module: nn.Module, preprocess: Preprocess, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    pixels = images.transpose(0, 3, 1, 2).astype(np.float64)
    if preprocess.resample is not None:
        rows, columns = (matrix.astype(np.float64) for matrix in preprocess.resample)
        resampled = np.einsum("yr,ncrs,xs->ncyx", rows, pixels, columns, optimize=True)
        pixels = np.rint(resampled).clip(0, 255)
    mean, std = (np.array(values).reshape(1, -1, 1, 1) for values in (preprocess.mean, preprocess.std))
    exact = copy.deepcopy(module).cpu().double().eval()
    with torch.inference_mode():
        return exact(torch.from_numpy((pixels - mean) / std)).numpy()


def _same_answer(logits: NDArray[np.float32], expected: NDArray[np.float64], slack: float) -> NDArray[np.bool_]:
    """Whether the answer is the reference's best, or within ``slack`` of it."""
    answers = logits.argmax(1)
    return expected.max(1) - expected[np.arange(len(expected)), answers] <= slack
