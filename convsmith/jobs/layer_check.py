"""One layer computed in several ways that share no code, on random numbers in float64, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray

from convsmith.errors import GateError, OpError
from convsmith.interop.torch_module import build
from convsmith.jobs.layer_loops import pool_map, slide, stamp
from convsmith.ops import Conv2d, ConvTranspose2d, GlobalMaxPool, MaxPool2d

if TYPE_CHECKING:
    from convsmith.jobs.layer import Layer

LIMIT: Final = 1e-9
"""Largest difference that counts as none."""
MOST_STEPS: Final = 2_000_000
"""Multiply-adds, or pixels pooled, above which a plain loop takes too long: some seconds."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Check:
    """Largest differences from torch, by what is compared and who computed it."""

    differences: Mapping[str, Mapping[str, float]]

    @property
    def largest(self) -> float:
        """The largest of all; not a number where one of them is none."""
        return float(np.max([one for ways in self.differences.values() for one in ways.values()]))

    def require(self) -> None:
        """Insist that all agree.

        Raises:
            GateError: If the largest difference is above ``LIMIT``.
        """
        if not self.largest <= LIMIT:
            raise GateError(f"all ways of computing the layer must agree within {LIMIT:g}", received=self.largest)

    def to_dict(self) -> dict[str, Any]:
        """The ``check`` of ``--json``."""
        ways = {name: dict(found) for name, found in self.differences.items()}
        return {"largest_difference": self.largest, "limit": LIMIT, "differences": ways}


def check(layer: Layer, seed: int = 0) -> Check:
    """Compare a plain loop, C and torch; of a transposed convolution, zero insertion too.

    Values, the gradient by the input and the gradient by the weights are compared. The gradient of a sum of outputs,
    each times a random number, is C transposed times these numbers; a weight's is the sum over all entries it is in.

    Raises:
        OpError: If there is too much to do for a plain loop, or the matrix is too large.
    """
    steps = max(layer.terms.taps, layer.terms.pool)
    if steps > MOST_STEPS:
        rule = f"a layer must take at most {MOST_STEPS:,} multiply-adds for a plain loop"
        raise OpError(rule, received=steps, where=layer.command, remedy="take a smaller map or fewer channels")
    random = np.random.default_rng(seed)
    shapes = {name: random.standard_normal(shape) for name, shape in layer.op.param_shapes(layer.input).items()}
    map, sought = random.standard_normal(layer.input.shape), random.standard_normal(layer.output.shape)
    values, by_input, by_weight = _torch(layer, map, sought, shapes)
    apart: dict[str, dict[str, float]] = {"values": {}, "gradient by the input": {}, "gradient by the weights": {}}
    apart["values"]["loop"] = _apart(_loop(layer, map, shapes), values)
    if not isinstance(layer.op, MaxPool2d | GlobalMaxPool):
        c, weights = layer.matrix, shapes.get("weight")
        entries = np.asarray(c.values)[c.weights] if weights is None else weights.ravel()[c.weights]
        products = _sums(c.rows, entries * map.ravel()[c.columns], c.shape[0]).reshape(values.shape)
        biased = products + shapes["bias"][:, None, None] if "bias" in shapes else products
        backward = _sums(c.columns, entries * sought.ravel()[c.rows], c.shape[1]).reshape(map.shape)
        apart["values"]["C"] = _apart(biased, values)
        apart["gradient by the input"]["C transposed"] = _apart(backward, by_input)
        if weights is not None and by_weight is not None:
            shared = _sums(c.weights, sought.ravel()[c.rows] * map.ravel()[c.columns], weights.size)
            apart["gradient by the weights"]["entries of C"] = _apart(shared.reshape(weights.shape), by_weight)
    if layer.zero_insertion is not None:
        spread, by_spread = _blanks(layer, map, sought, shapes)
        apart["values"]["zero insertion"] = _apart(spread, values)
        apart["gradient by the input"]["zero insertion"] = _apart(by_spread, by_input)
    return Check({name: found for name, found in apart.items() if found})


def _sums(places: NDArray[np.int64], amounts: Array, count: int) -> Array:
    """What is added up in each place."""
    return np.bincount(places, amounts, count).astype(np.float64)  # integers where there are no places


def _apart(one: Array, other: Array) -> float:
    """The largest difference; none where both are the same infinity, as over padding alone."""
    return float(np.abs(np.subtract(one, other, where=one != other, out=np.zeros_like(one))).max(initial=0.0))


def _loop(layer: Layer, map: Array, weights: Mapping[str, Array]) -> Array:
    op, lines = layer.op, map[0].tolist()
    if not isinstance(op, Conv2d | ConvTranspose2d):
        return np.array([pool_map(cast("Any", op), lines)])
    kernel, bias = weights["weight"].tolist(), weights.get("bias", np.zeros(op.out_channels)).tolist()
    made = slide(op, lines, kernel, bias) if isinstance(op, Conv2d) else stamp(op, lines, kernel, bias)
    return np.array([made])


def _torch(layer: Layer, map: Array, sought: Array, weights: Mapping[str, Array]) -> tuple[Array, Array, Array | None]:
    """Values of torch's layer, and its gradients by the input and by the weights."""
    module = layer.op.to_torch().double()
    module.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    values, by_input = _forward_and_back(module, map, sought)
    return values, by_input, module.weight.grad.numpy() if "weight" in weights else None


def _blanks(layer: Layer, map: Array, sought: Array, weights: Mapping[str, Array]) -> tuple[Array, Array]:
    """The same of the lowering by zero insertion, all of it in torch."""
    graph, op = layer.zero_insertion, layer.op
    assert graph is not None
    assert isinstance(op, ConvTranspose2d)
    module = build(graph).double()
    own = {**weights, "weight": op.sliding_kernel(weights["weight"]).copy()}
    module.load_state_dict({f"{layer.node.name}.{name}": torch.from_numpy(array) for name, array in own.items()})
    return _forward_and_back(module, map, sought)


def _forward_and_back(module: Any, map: Array, sought: Array) -> tuple[Array, Array]:
    image = torch.from_numpy(map).requires_grad_()
    output = module(image)
    (output * torch.from_numpy(sought)).sum().backward()
    assert image.grad is not None
    return output.detach().numpy(), image.grad.numpy()
