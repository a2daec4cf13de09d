"""The activations that the kernels can apply on the way."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from torch import nn


class Activation(NamedTuple):
    """An activation as the kernels know it.

    Attributes:
        kind: Its number in ``native.c``.
        low: Where clipping begins.
        high: Where it ends.
    """

    kind: int
    low: float = 0.0
    high: float = 0.0

    @property
    def clips(self) -> bool:
        """Whether its derivative can be told from its output."""
        return self.kind in (_IDENTITY, _CLIP)


_IDENTITY, _CLIP, _SILU, _HARDSWISH = range(4)

NO_ACTIVATION: Final = Activation(_IDENTITY)


def activation_of(module: nn.Module) -> Activation | None:
    """The activation of a torch module; None if the kernels have no such."""
    match module:
        case nn.ReLU():
            return Activation(_CLIP, 0.0, math.inf)
        case nn.Hardtanh():  # ReLU6 is one
            return Activation(_CLIP, module.min_val, module.max_val)
        case nn.SiLU():
            return Activation(_SILU)
        case nn.Hardswish():
            return Activation(_HARDSWISH)
        case nn.Identity():
            return NO_ACTIVATION
        case _:
            return None
