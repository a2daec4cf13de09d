"""Muon: momentum whose update of a weight matrix is made orthogonal.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. A gradient of a layer is dominated by a
few directions; with all singular values brought to one, the rare directions move as far as the common ones. A
convolution's weight is the matrix of its filters, one filter a row. Depthwise convolutions and vectors have no such
matrix and are moved by plain Nesterov momentum, as is the last layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

_COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
_STEPS: Final = 3  # enough for singular values between about 0.7 and 1.2, as on CIFAR-10 in the source
_EPS: Final = 1e-7


class Muon(Optimizer):
    """Groups with ``"orthogonal": True`` hold weights of two or more dimensions; the others are moved as by SGD.

    Args:
        groups: Parameter groups with ``params``, ``weight_decay`` and ``orthogonal``.
        lr: Learning rate; of an orthogonal update, times the square root of rows over columns if there are more rows.
        momentum: Share of the last update that is kept.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(list(groups), {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "orthogonal": False})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every parameter that has a gradient."""
        assert closure is None, "the loss is not evaluated again"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return None

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        rate, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        state = self.state[parameter]
        if not group["orthogonal"] and decay:
            gradient = gradient.add(parameter, alpha=decay)
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer = state["momentum_buffer"].mul_(momentum).add_(gradient)
        update = gradient.add(buffer, alpha=momentum)
        if group["orthogonal"]:
            parameter.mul_(1 - rate * decay)
            matrix = orthogonal(update.flatten(1))
            rows, columns = matrix.shape
            update = matrix.view_as(parameter).mul_(max(1.0, rows / columns) ** 0.5)
        parameter.add_(update, alpha=-rate)


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with its singular values brought near one, by a few steps of a fifth-degree Newton-Schulz iteration.

    Args:
        matrix: (rows, columns).
    """
    a, b, c = _COEFFICIENTS
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / (wide.norm() + _EPS)
    for _ in range(_STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x
