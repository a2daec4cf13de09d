"""The points of saturation curves: on budget, and different from the base in what they are named after."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convsmith.analysis import cost
from convsmith.design import lower, parse_design, zoo
from convsmith.errors import BudgetError
from convsmith.scaling.ladder import AXES, budgets, raise_axis

BASE = """
name = "base"
input = [{channels}, {side}, {side}]
[stem]
block = "conv"
width = {width}
[[stage]]
block = "{block}"
depth = {depth}
width = {width}
[[stage]]
block = "{block}"
depth = {depth}
width = {double}
stride = 2
[head]
task = "classify"
classes = 10
"""


def base_of(side=16, width=16, depth=2, block="residual", channels=3):
    return parse_design(
        BASE.format(side=side, width=width, double=2 * width, depth=depth, block=block, channels=channels)
    )


def macs(design):
    """By lowering the whole network, which no solver does."""
    return cost(lower(design)).macs


def designs(line):
    return [design for _, design in line.points]


def blocks(design):
    return sum(stage.depth for stage in design.stage)


def widths(design):
    return [design.stem.width, *(stage.width for stage in design.stage)]


@pytest.mark.slow
@settings(max_examples=25)
@given(
    side=st.sampled_from([12, 16, 20, 28]),
    width=st.sampled_from([8, 12, 16, 24]),
    depth=st.integers(1, 3),
    block=st.sampled_from(["residual", "plain", "inverted_residual"]),
    growth=st.sampled_from([4, 8, 16]),
)
def test_every_point_fills_its_budget_and_only_its_own_axis_grows(side, width, depth, block, growth):
    base = base_of(side, width, depth, block)
    ladder = budgets(macs(base), growth * macs(base))
    for axis in AXES:
        line = raise_axis(base, axis, ladder, native=4 * side)
        assert len(line.points) == len(ladder) or line.stop
        for budget, design in line.points:
            if not (axis == "resolution" and design.input[1] == 4 * side):
                assert 0.97 * budget <= macs(design) <= budget
            wider = [after / before for before, after in zip(widths(base), widths(design), strict=True)]
            if axis in ("depth", "resolution"):
                assert all(0.7 <= ratio <= 1.45 for ratio in wider)
            if axis in ("width", "resolution"):
                assert blocks(design) == blocks(base)
            if axis in ("width", "depth"):
                assert design.input == base.input
        grown = {"depth": blocks, "width": lambda one: max(widths(one)), "resolution": lambda one: one.input[1]}
        sizes = [grown.get(axis, macs)(design) for design in (base, *designs(line))]
        assert sizes == sorted(set(sizes))


def test_an_axis_alone_hardly_changes_the_widths_where_they_are_wide_enough():
    base = base_of(side=16, width=64)
    for axis in ("depth", "resolution"):
        for design in designs(raise_axis(base, axis, budgets(macs(base), 8 * macs(base)), native=64)):
            for before, after in zip(widths(base), widths(design), strict=True):
                assert abs(math.log(after / before)) < 0.14


def test_resolution_ends_at_the_very_size_of_the_images_with_the_widths_of_the_base():
    base = base_of(side=16)
    line = raise_axis(base, "resolution", budgets(macs(base), 16 * macs(base)), native=28)
    assert [design.input[1] for design in designs(line)][-1] == 28
    assert widths(designs(line)[-1]) == widths(base)
    assert "the images are 28 px" in line.stop
    assert max(design.input[1] for design in designs(line)) == 28
    together = raise_axis(base, "compound", budgets(macs(base), 64 * macs(base)), native=28)
    assert max(design.input[1] for design in designs(together)) <= 28
    assert 0 < len(designs(together)) < 6
    assert "the images are 28 px" in together.stop


def test_without_room_the_resolution_has_no_point_and_says_why():
    line = raise_axis(base_of(side=28), "resolution", [10**8], native=28)
    assert line.points == ()
    assert "28 px" in line.stop


def test_together_grows_as_the_paper_says():
    base = zoo.load("efficientnet-b0")
    (design,) = designs(raise_axis(base, "compound", [4 * macs(base)], native=600))
    phi = math.log(4) / math.log(1.2 * 1.1**2 * 1.15**2)
    assert blocks(design) / blocks(base) == pytest.approx(1.2**phi, rel=0.04)
    assert design.input[1] / base.input[1] == pytest.approx(1.15**phi, rel=0.01)


@pytest.mark.parametrize(("growth", "count"), [(8, 3), (6, 3), (2.2, 1), (16, 4)])
def test_a_ladder_has_equal_steps_of_about_two_and_ends_at_the_top(growth, count):
    least = 1_000_000
    ladder = budgets(least, round(growth * least))
    assert len(ladder) == count
    assert ladder[-1] == round(growth * least)
    ratios = [after / before for before, after in zip((least, *ladder), ladder, strict=False)]
    assert ratios == pytest.approx([growth ** (1 / count)] * count, rel=1e-5)


@pytest.mark.parametrize("most", [1, 1_000_000, 1_300_000])
def test_a_top_that_is_no_step_above_the_base_is_refused_with_one_that_is(most):
    with pytest.raises(BudgetError, match="give at least 2,000,000"):
        budgets(1_000_000, most)
