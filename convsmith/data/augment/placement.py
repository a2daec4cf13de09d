"""Where each pixel of a changed image is read: any chain of moves, turns and crops as one affine map per image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Placement:
    """An affine map per image from a pixel of the result to its place in the source, both seen from the centre.

    Every method gives the map with one more step, so steps are written from the result back to the source. Plain
    sums and products keep the numbers of an image independent of how many others there are.

    Attributes:
        x: (3, N): what a pixel to the right, a pixel down, and the centre itself add to the place along the rows.
        y: The same down the columns.
    """

    x: Values
    y: Values

    @staticmethod
    def same(count: int) -> Placement:
        """Every pixel where it was."""
        zero, one = np.zeros(count), np.ones(count)
        return Placement(np.stack([one, zero, zero]), np.stack([zero, one, zero]))

    def turned(self, degrees: Values) -> Placement:
        """Turned around the centre."""
        cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        return Placement(cosine * self.x - sine * self.y, sine * self.x + cosine * self.y)

    def slanted(self, along_rows: Values, along_columns: Values) -> Placement:
        """Slanted by so many pixels for each pixel of distance from the centre."""
        return Placement(self.x + along_rows * self.y, self.y + along_columns * self.x)

    def stretched(self, right: Values, down: Values) -> Placement:
        """Distances from the centre multiplied."""
        return Placement(self.x * right, self.y * down)

    def moved(self, right: Values, down: Values) -> Placement:
        """Moved by pixels of the source."""
        x, y = self.x.copy(), self.y.copy()
        x[2] += right
        y[2] += down
        return Placement(x, y)
