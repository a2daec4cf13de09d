"""Export: an ONNX file that takes pixels as they come, and is put in place only once it has passed the parity gate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from convsmith.deploy.parity import Parity, check_parity
from convsmith.errors import GateError
from convsmith.files import write_atomically
from convsmith.interop.onnx_file import Preprocess, write_onnx
from convsmith.interop.weights import weights_of
from convsmith.ir import Graph
from convsmith.quantities import format_percent


def export_onnx(
    graph: Graph,
    module: nn.Module,
    path: Path,
    *,
    preprocess: Preprocess,
    images: NDArray[np.uint8],
    metadata: Mapping[str, str] | None = None,
) -> Parity:
    """Write the network with its preprocessing to ``path`` and prove that it gives the same answers.

    Args:
        graph: The network.
        module: The same, built and trained.
        path: Where the file goes; an older one stays until the new one has passed.
        preprocess: From uint8 pixels (N, H, W, C) to the network's input.
        images: Real images for the gate, uint8 (N, H, W, C).
        metadata: Stored in the file.

    Raises:
        GateError: If the file and the network differ by more than the gate allows; no new file is left.
        ModelError: If an operator cannot be written.
        RunError: If the file cannot be written.
    """
    weights = weights_of(module)
    found: list[Parity] = []

    def write(draft: Path) -> None:
        write_onnx(graph, weights, draft, preprocess=preprocess, metadata=metadata)
        found.append(_pass_gate(check_parity(draft, module, preprocess, images), path))

    write_atomically(path, write)  # puts the draft in place only if nothing was raised
    return found[0]


def _pass_gate(parity: Parity, path: Path) -> Parity:
    if not parity.passed:
        raise GateError(
            "the exported file must give the same answers as the network",
            received=f"relative difference {parity.relative:.2g} (absolute {parity.absolute:.2g}), "
            f"same answer for {format_percent(parity.agreement)} of {parity.images} images",
            where=str(path),
            remedy=f"at most {parity.tolerance:g} and all answers pass; no file was written, please report the network",
        )
    return parity
