"""Window arithmetic along one axis, the one place where an output size or a covered pixel is computed.

Zero insertion makes strides below one the same thing as strides above one (Dumoulin and Visin, "A guide to
convolution arithmetic for deep learning", 2016, section 4): with stride p/q, q - 1 blanks are put between
neighbouring pixels, the padding is added, and the kernel slides over the result in steps of p.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction


class Spread(enum.Enum):
    """How an axis is read when no window describes it."""

    WHOLE = "whole"  # every output reads the whole axis
    PERMUTED = "permuted"  # positions are moved about; the axis is no longer a line of pixels


@dataclass(frozen=True, slots=True)
class Window:
    """What one output position reads along one axis.

    Attributes:
        kernel: Number of taps.
        stride: Step between outputs, in input pixels; below one it enlarges.
        before: Padding before the first position, after zero insertion. Negative crops.
        after: Padding after the last position, after zero insertion. Negative crops.
        dilation: Distance between taps, after zero insertion.
    """

    kernel: int = 1
    stride: Fraction = Fraction(1)
    before: int = 0
    after: int = 0
    dilation: int = 1

    @property
    def extent(self) -> int:
        """Distance from the first to the last tap plus one: ``dilation * (kernel - 1) + 1``."""
        return self.dilation * (self.kernel - 1) + 1

    def output_size(self, size: int) -> int:
        """Number of outputs over ``size`` pixels: ``floor((i + 2p - k) / s) + 1``, below one if none fits."""
        return self._room(size) // self.stride.numerator + 1

    def ceiled(self, size: int) -> Window:
        """This window with the padding after it grown so that ``output_size`` rounds up.

        As in torch, a last window that would start past the input and its padding before is left out.
        """
        step = self.stride.numerator
        outputs = -(-(size + self.before + self.after - self.extent) // step) + 1
        if (outputs - 1) * step >= size + self.before:
            outputs -= 1
        return self.reaching(outputs, size)

    def reaching(self, outputs: int, size: int) -> Window:
        """This window with the padding after it chosen so that ``output_size(size)`` is ``outputs``."""
        length = (size - 1) * self.stride.denominator + 1
        after = (outputs - 1) * self.stride.numerator + self.extent - length - self.before
        return Window(self.kernel, self.stride, self.before, after, self.dilation)

    def reads(self, output: int, size: int) -> Iterator[tuple[int, int]]:
        """Yield ``(tap, pixel)`` for every tap of ``output`` that falls on a real pixel of ``size``."""
        step, gap = self.stride.numerator, self.stride.denominator
        start = output * step - self.before
        for tap in range(self.kernel):
            position = start + tap * self.dilation
            if position % gap == 0 and 0 <= position // gap < size:
                yield tap, position // gap

    def real_taps(self, size: int) -> int:
        """Taps over all outputs that fall on real pixels, padding and inserted zeros left out."""
        return sum(self.tap_uses(size))

    def tap_uses(self, size: int) -> tuple[int, ...]:
        """For every tap, how many outputs find a real pixel under it."""
        return tuple(line.bit_count() for line in self._lines(size))

    def output_uses(self, size: int) -> tuple[int, ...]:
        """For every output, how many of its taps fall on real pixels; zero insertion makes the numbers uneven."""
        step, gap, spread = self.stride.numerator, self.stride.denominator, self.dilation
        common = math.gcd(spread, gap)
        period = gap // common  # every so many taps fall on a pixel, if any do
        inverse = pow(spread // common, -1, period)

        def uses(start: int) -> int:
            low, high = max(0, -(start // spread)), min(self.kernel - 1, ((size - 1) * gap - start) // spread)
            if start % common or low > high:
                return 0
            first = -start // common * inverse % period
            return (high - first) // period - (low - 1 - first) // period

        return tuple(uses(output * step - self.before) for output in range(self.output_size(size)))

    def covered(self, size: int) -> int:
        """The pixels that any output reads, as a bit mask: bit ``p`` is set where pixel ``p`` of ``size`` is read."""
        line = 0
        for read in self._lines(size):
            line |= read
        gap = self.stride.denominator
        return line if gap == 1 else sum(1 << pixel for pixel in range(size) if line >> pixel * gap & 1)

    def _lines(self, size: int) -> Iterator[int]:
        """For every tap, the places of the zero-inserted line where it meets a real pixel, as a bit mask."""
        step, gap = self.stride.numerator, self.stride.denominator
        outputs, pixels = _comb(self.output_size(size), step), _comb(size, gap)
        for tap in range(self.kernel):
            shift = tap * self.dilation - self.before
            yield (outputs << shift if shift >= 0 else outputs >> -shift) & pixels

    def remainder(self, size: int) -> int:
        """Positions after the last window, padding included, that are left over by rounding the size down."""
        return self._room(size) % self.stride.numerator

    def _room(self, size: int) -> int:
        """How far the first window can be moved before it reaches past the padding: ``i + 2p - k``."""
        return (size - 1) * self.stride.denominator + 1 + self.before + self.after - self.extent


def _comb(teeth: int, step: int) -> int:
    """A bit mask with ``teeth`` ones, ``step`` apart, from bit 0 on."""
    return ((1 << step * max(teeth, 0)) - 1) // ((1 << step) - 1)


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Padding before and after so that the output has ``ceil(size / stride)`` positions; the odd pixel goes after."""
    extent = dilation * (kernel - 1) + 1
    total = max(0, (-(-size // stride) - 1) * stride + extent - size)
    return total // 2, total - total // 2
