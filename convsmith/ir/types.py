"""What is known about a value before any number exists: its shape and element type."""

from __future__ import annotations

import math
from dataclasses import dataclass

ITEM_BYTES: dict[str, int] = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2, "int64": 8, "uint8": 1}
"""Element types that exist, with their size in memory."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and element type of a value. A feature map is ``(batch, channels, height, width)``."""

    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def numel(self) -> int:
        """Number of elements, all axes multiplied."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in memory, in bytes."""
        return self.numel * ITEM_BYTES[self.dtype]

    @property
    def is_map(self) -> bool:
        """Whether this is a feature map of four axes."""
        return len(self.shape) == 4

    def with_shape(self, *shape: int) -> TensorType:
        """The same element type with another shape."""
        return TensorType(shape, self.dtype)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"
