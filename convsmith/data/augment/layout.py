"""Images as they lie in memory: rows, boxes in them, and back to bytes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Places = NDArray[np.int64]


def as_rows(images: Tensor) -> Tensor:
    """The same memory of channels-last images (N, C, H, W) as (N, H, W * C)."""
    return images.permute(0, 2, 3, 1).flatten(2)


def boxes(images: Tensor, top: Places, left: Places, high: Places, wide: Places) -> tuple[Tensor, Places]:
    """Ones inside of boxes and zeros outside, in the layout of ``as_rows``, and the pixels (N,) inside.

    Boxes may reach beyond the images.
    """
    channels, height, width = images.shape[1:]
    rows, columns = (
        (np.arange(size) >= start[:, None]) & (np.arange(size) < (start + length)[:, None])
        for size, start, length in ((height, top, high), (width, left, wide))
    )
    along, across = (torch.from_numpy(part.astype(np.float32)) for part in (rows, np.repeat(columns, channels, axis=1)))
    return along.unsqueeze(2) * across.unsqueeze(1), rows.sum(1) * columns.sum(1)


def as_bytes(values: Tensor) -> Tensor:
    """Values in 0 to 255 without their fractions, uint8; numpy's cast takes a third of the time of torch's."""
    return torch.from_numpy(values.numpy().astype(np.uint8))
