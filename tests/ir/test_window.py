"""Window arithmetic against brute force: insert the zeros, add the padding, slide the kernel and look."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convsmith.ir import Window, same_padding

checked = settings(max_examples=200)

sizes = st.integers(1, 12)
strides = st.fractions(Fraction(1, 4), 4, max_denominator=4)
windows = st.builds(Window, st.integers(1, 5), strides, st.integers(-2, 5), st.integers(-2, 5), st.integers(1, 3))


def tape(window: Window, size: int) -> list[int | None]:
    """What the kernel slides over: pixel numbers, and None for inserted zeros and for padding."""
    blanks = [None] * (window.stride.denominator - 1)
    cells = [cell for pixel in range(size) for cell in (pixel, *blanks)][
        : size * window.stride.denominator - len(blanks)
    ]
    cells = [None] * window.before + cells if window.before >= 0 else cells[-window.before :]
    return cells + [None] * window.after if window.after >= 0 else cells[: len(cells) + window.after]


def slide(window: Window, size: int) -> list[list[tuple[int, int]]]:
    """For every placement of the kernel that fits: the taps that fall on pixels."""
    cells, outputs, start = tape(window, size), [], 0
    while start + window.dilation * (window.kernel - 1) < len(cells):
        seen = [(tap, cells[start + tap * window.dilation]) for tap in range(window.kernel)]
        outputs.append([(tap, pixel) for tap, pixel in seen if pixel is not None])
        start += window.stride.numerator
    return outputs


@st.composite
def placed(draw):
    """A window and a size that is left with at least one cell after cropping."""
    window, size = draw(windows), draw(sizes)
    length = size * window.stride.denominator - window.stride.denominator + 1
    assume(length + min(window.before, 0) + min(window.after, 0) > 0)
    return window, size


@pytest.mark.slow
@checked
@given(placed())
def test_output_size_counts_the_placements_that_fit(case):
    window, size = case
    assert max(window.output_size(size), 0) == len(slide(window, size))


@pytest.mark.slow
@checked
@given(placed())
def test_reads_are_the_pixels_under_the_taps(case):
    window, size = case
    for output, seen in enumerate(slide(window, size)):
        assert list(window.reads(output, size)) == seen


@pytest.mark.slow
@checked
@given(placed())
def test_real_taps_counts_all_reads(case):
    window, size = case
    seen = Counter(tap for read in slide(window, size) for tap, _ in read)
    assert window.tap_uses(size) == tuple(seen[tap] for tap in range(window.kernel))
    assert window.real_taps(size) == seen.total()
    assert window.output_uses(size) == tuple(len(read) for read in slide(window, size))


@pytest.mark.slow
@checked
@given(placed())
def test_covered_are_the_pixels_that_any_window_reads(case):
    window, size = case
    read = {pixel for seen in slide(window, size) for _, pixel in seen}
    assert [pixel for pixel in range(size) if window.covered(size) >> pixel & 1] == sorted(read)
    assert window.covered(size).bit_length() <= size


@pytest.mark.slow
@checked
@given(placed())
def test_the_remainder_is_what_lies_after_the_last_window(case):
    window, size = case
    outputs = window.output_size(size)
    assume(outputs >= 1)
    end = (outputs - 1) * window.stride.numerator + window.extent
    assert window.remainder(size) == len(tape(window, size)) - end


@pytest.mark.slow
@checked
@given(windows, sizes, st.integers(1, 30))
def test_reaching_gives_the_outputs_asked_for(window, size, outputs):
    reached = window.reaching(outputs, size)
    assert reached.output_size(size) == outputs
    assert (reached.kernel, reached.stride, reached.before) == (window.kernel, window.stride, window.before)


@settings(max_examples=150)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2), st.integers(1, 3), st.integers(1, 16))
def test_ceiled_is_torchs_ceil_mode(kernel, stride, padding, dilation, size):
    assume(padding <= kernel // 2)
    window = Window(kernel, Fraction(stride), padding, padding, dilation)
    assume(window.output_size(size) >= 1)
    pool = torch.nn.MaxPool1d(kernel, stride, padding, dilation, ceil_mode=True)
    ceiled = window.ceiled(size)
    assert ceiled.output_size(size) == pool(torch.zeros(1, 1, size)).shape[2]
    assert ceiled.output_size(size) - window.output_size(size) in (0, 1)


@checked
@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 4), st.integers(1, 3))
def test_same_padding_is_the_least_that_rounds_up(size, kernel, stride, dilation):
    before, after = same_padding(size, kernel, stride, dilation)
    wanted = -(-size // stride)
    assert after - before in (0, 1)
    assert Window(kernel, Fraction(stride), before, after, dilation).output_size(size) == wanted
    if before + after:
        less = Window(kernel, Fraction(stride), before, after - 1, dilation)
        assert less.output_size(size) < wanted


@pytest.mark.parametrize(
    ("window", "size", "outputs"),
    [
        (Window(3), 4, 2),  # no padding, unit strides: i - k + 1
        (Window(4, before=2, after=2), 5, 6),  # arbitrary padding: i + 2p - k + 1
        (Window(3, before=1, after=1), 5, 5),  # half padding keeps the size
        (Window(3, before=2, after=2), 5, 7),  # full padding: i + k - 1
        (Window(3, Fraction(2)), 5, 2),
        (Window(3, Fraction(2), 1, 1), 6, 3),
        (Window(3, Fraction(1, 2), 2, 2), 2, 5),  # the transpose of (3, 2) on 5
        (Window(3, Fraction(1, 2), 1, 2), 3, 6),  # the transpose of (3, 2, 1) on 6
        (Window(3, dilation=2), 7, 3),
        (Window(8), 96, 89),
    ],
)
def test_sizes_of_the_convolution_guide(window, size, outputs):
    """Cases drawn by Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016."""
    assert window.output_size(size) == outputs


def test_a_kernel_that_does_not_fit_gives_no_outputs():
    assert Window(5).output_size(3) < 1
    assert Window(5).real_taps(3) == Window(5).covered(3) == 0
