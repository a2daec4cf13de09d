"""Maps and normalisations for the kernels, and how near results must be to those in float64."""

from __future__ import annotations

import copy

import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor, nn

ACTIVATIONS = (nn.Identity(), nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-0.5, 0.75), nn.SiLU(), nn.Hardswish())
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}
"""Of the largest number, for each type of map."""
maps = st.tuples(st.integers(1, 5), st.integers(1, 70), st.integers(1, 9), st.integers(1, 9)).filter(
    lambda shape: shape[0] * shape[2] * shape[3] > 1
)
dtypes = st.sampled_from(list(TOLERANCE))


def a_map(shape: tuple[int, ...], dtype: torch.dtype, seed: int, shift: float = 0.0) -> Tensor:
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + shift
    return made.to(dtype).contiguous(memory_format=torch.channels_last)


def a_norm(channels: int, seed: int, **options: object) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, **options)  # pyright: ignore[reportArgumentType]
    generator = torch.Generator().manual_seed(seed)
    for tensor in norm.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(channels, generator=generator) + 0.5)
    return norm.train()


def close(found: Tensor | None, wanted: Tensor | None, tolerance: float) -> None:
    """Within ``tolerance`` of the largest number there is."""
    assert found is not None
    assert wanted is not None
    assert found.shape == wanted.shape
    assert (found.double() - wanted).abs().max() <= tolerance * max(1.0, wanted.abs().max().item())


def doubled(tensor: Tensor) -> Tensor:
    return tensor.detach().double().requires_grad_()


def away_from_corners(activation: nn.Module, x: Tensor, distance: float) -> Tensor:
    """1 where the derivative does not jump within what rounding moves, else 0."""
    corners = {"ReLU": (0.0,), "ReLU6": (0.0, 6.0), "Hardtanh": (-0.5, 0.75), "Hardswish": (-3.0, 3.0)}
    near = [(x - corner).abs() < distance for corner in corners.get(type(activation).__name__, ())]
    return (~torch.stack(near).any(0)).to(x.dtype) if near else torch.ones_like(x)


def moved_from_corners(x: Tensor, norm: nn.BatchNorm2d, activation: nn.Module) -> Tensor:
    """A map that, normalised, is nowhere near a jump of the derivative, where float32 may fall on the other side."""
    for _ in range(30):
        inner = copy.deepcopy(norm).double()(x.double())
        near = 1 - away_from_corners(activation, inner.detach(), TOLERANCE[x.dtype])
        if not near.any():
            return x
        x = (x + 0.1 * near.to(x.dtype)).contiguous(memory_format=torch.channels_last)
    assume(False)
    return x
