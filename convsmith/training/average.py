"""The moving average of a network's weights and buffers, timed by the share of the run.

The half-life is a share of the budget, so the same recipe averages alike in a short and in a long run, and in one
whose number of steps is not known. The average starts as the plain mean of what was seen, so that the random first
weights never count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


class WeightAverage:
    """An exponential moving average of ``module.state_dict()``.

    Args:
        module: The network in training; the average watches its tensors, so they must not be replaced afterwards.
        half_life: Share of the run after which a weight counts half, above 0.
    """

    def __init__(self, module: nn.Module, half_life: float) -> None:
        self._live = {name: tensor.detach() for name, tensor in module.state_dict().items()}
        self._half_life = half_life
        self.tensors = {name: tensor.clone() for name, tensor in self._live.items()}
        self.progress = 0.0
        self._averaged = [name for name, tensor in self._live.items() if tensor.is_floating_point()]
        self._copied = [name for name, tensor in self._live.items() if not tensor.is_floating_point()]

    @torch.no_grad()
    def update(self, progress: float) -> None:
        """Take the weights in as they are when ``progress`` of the run is spent."""
        share = progress - self.progress
        if share <= 0:
            return
        weight = max(1.0 - 0.5 ** (share / self._half_life), share / progress)
        torch._foreach_lerp_(*self._pairs(self._averaged), weight)  # pyright: ignore[reportPrivateImportUsage]
        for average, live in zip(*self._pairs(self._copied), strict=True):
            average.copy_(live)
        self.progress = progress

    @torch.no_grad()
    def restore(self, tensors: dict[str, torch.Tensor], progress: float) -> None:
        """Go on from an average that was saved at ``progress``."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])
        self.progress = progress

    @torch.no_grad()
    def load(self) -> None:
        """Give the module the averaged weights."""
        for name, live in self._live.items():
            live.copy_(self.tensors[name])

    @contextlib.contextmanager
    def loaded(self) -> Iterator[None]:
        """Lend the module the averaged weights."""
        own = {name: live.clone() for name, live in self._live.items()}
        self.load()
        try:
            yield
        finally:
            for name, live in self._live.items():
                live.copy_(own[name])

    def _pairs(self, names: list[str]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        return [self.tensors[name] for name in names], [self._live[name] for name in names]
