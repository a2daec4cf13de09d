"""Weights for networks that have none, and both sides of a rewrite computed on the same random input in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from convsmith.data import Normalisation
from convsmith.errors import GateError, GraphError, ModelError
from convsmith.interop.torch_module import Network, build
from convsmith.interop.weights import load_weights, weights_of
from convsmith.ir import Graph
from convsmith.training.initialise import initialise

Weights = Mapping[str, NDArray[Any]]

LIMIT: Final = 1e-9
"""Largest difference, relative to the largest output, that counts as rounding in float64."""


@dataclass(frozen=True)
class Proof:
    """How far the outputs of two networks lie apart on one random input, in float64.

    Attributes:
        largest: Of all differences.
        scale: The largest output.
        outputs: How many were compared.
        drawn: Whether the weights were random ones: the network has none, or gives the same everywhere with its own.
    """

    largest: float
    scale: float
    outputs: int
    drawn: bool = False

    @property
    def relative(self) -> float:
        """The largest difference as a share of the largest output."""
        return self.largest / self.scale if self.scale else self.largest

    def require(self, where: str) -> None:
        """Insist that the networks agree.

        Raises:
            GateError: If they do not, to the rounding of float64.
        """
        if not self.relative <= LIMIT:
            rule = f"both networks must give the same numbers within {LIMIT:g} of the largest"
            raise GateError(rule, received=self.relative, where=where, remedy="please report the network")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "largest": self.largest,
            "relative": self.relative,
            "outputs": self.outputs,
            "limit": LIMIT,
            "drawn": self.drawn,
        }


def prove(before: Graph, weights: Weights, after: Graph, new: Weights, seed: int, *, drawn: bool) -> tuple[Proof, bool]:
    """Run both networks on random numbers; outputs are compared one by one, whatever axes they have.

    Returns the proof, and whether the outputs differ from each other: where they are all one number, as of weights that
    are all alike, next to nothing is proved.

    Raises:
        ModelError: If one of them cannot be built.
    """
    random = np.random.default_rng(seed)
    inputs = [random.standard_normal(type.shape) for _, type in before.inputs]
    one, other = _run(before, weights, inputs), _run(after, new, inputs)
    assert len(one) == len(other), f"{len(one)} outputs became {len(other)}"
    return Proof(float(np.abs(one - other).max()), float(np.abs(one).max()), len(one), drawn), len(set(one)) > 1


def drawn_weights(graph: Graph, seed: int) -> dict[str, NDArray[Any]]:
    """Weights for a network that has none, with running statistics and biases that are not neutral either."""
    random = np.random.default_rng(seed)
    weights = first_weights(graph, {}, seed)
    for name, array in weights.items():
        kind = name.rpartition(".")[2]
        if array.ndim == 1 and array.dtype.kind == "f":
            spread = random.uniform(0.5, 1.5, array.shape)
            weights[name] = spread if kind in ("weight", "running_var") else 0.2 * random.standard_normal(array.shape)
    return weights


def first_weights(graph: Graph, known: Weights, seed: int) -> dict[str, NDArray[Any]]:
    """All weights of a network: those that are known, and for all others what a training begins with."""
    missing = [name for name in graph.stored_shapes if name not in known]
    fresh = weights_of(initialise(_built(graph), seed)) if missing else {}
    return {name: known[name] if name in known else fresh[name] for name in graph.stored_shapes}


def ready(graph: Graph, weights: Weights) -> Network:
    """The network with its weights, to be used.

    Raises:
        ModelError: If it cannot be built.
    """
    module = _built(graph).eval()
    load_weights(module, weights)
    return module


def _built(graph: Graph) -> Network:
    try:
        return build(graph)
    except GraphError as error:
        raise ModelError(f"the network cannot be built: {error}", where=graph.name) from error


@torch.inference_mode()
def _run(graph: Graph, weights: Weights, inputs: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    module = _built(graph).double().eval()
    load_weights(module, weights)
    outputs = module(*map(torch.from_numpy, inputs))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return np.concatenate([output.numpy().ravel() for output in outputs])


def run_on(
    graph: Graph, weights: Weights, pixels: NDArray[np.uint8], normalisation: Normalisation
) -> NDArray[np.float64]:
    """What a network gives for one image (H, W, C), without the batch axis."""
    batch = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        output = ready(graph, weights)(normalisation.apply(batch.contiguous()))
    assert isinstance(output, torch.Tensor)
    return output[0].double().numpy()
