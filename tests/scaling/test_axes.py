"""Scaling along one axis: the law, the published EfficientNets, and the shares of every rule."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith.design import parse_design, zoo
from convsmith.errors import DesignError
from convsmith.scaling import RULES, Factors, Limits, price, scale
from convsmith.scaling.axes import factors_between, round_width, total_depth, with_total_depth

BODY = """
name = "body"
input = [3, 64, 64]
[stem]
block = "conv"
width = 64
[[stage]]
block = "residual"
depth = 4
width = 64
[head]
task = "classify"
classes = 2
"""

# Width and depth coefficients, resolution and published parameters (torchvision 0.29).
EFFICIENTNETS = {
    "b1": (1.0, 1.1, 240, 7_794_184),
    "b2": (1.1, 1.2, 260, 9_109_994),
    "b3": (1.2, 1.4, 300, 12_233_232),
    "b4": (1.4, 1.8, 380, 19_341_616),
    "b5": (1.6, 2.2, 456, 30_389_784),
    "b6": (1.8, 2.6, 528, 43_040_704),
    "b7": (2.0, 3.1, 600, 66_347_960),
}


@pytest.mark.parametrize("name", EFFICIENTNETS)
def test_scaling_b0_gives_the_published_efficientnets(name):
    width, depth, side, params = EFFICIENTNETS[name]
    scaled = scale(zoo.load("efficientnet-b0"), Factors(depth, width, side / 224))
    assert scaled.input == (3, side, side)
    assert price(scaled).params == params


@pytest.mark.parametrize(("factors", "growth"), [(Factors(2), 2), (Factors(1, 2), 4), (Factors(1, 1, 2), 4)])
def test_the_body_doubles_with_depth_and_quadruples_with_width_or_resolution(factors, growth):
    before, after = parse_design(BODY), scale(parse_design(BODY), factors)
    assert price(after).macs / price(before).macs == pytest.approx(growth, rel=0.02)


def test_a_factor_of_zero_is_refused():
    with pytest.raises(DesignError, match="factor of width"):
        scale(parse_design(BODY), Factors(1, 0))


@given(width=st.floats(1, 2000), quantum=st.sampled_from([1, 2, 4, 8]))
def test_a_rounded_width_is_a_multiple_and_never_loses_a_tenth(width, quantum):
    rounded = round_width(width, quantum)
    assert rounded % quantum == 0
    assert rounded >= 0.9 * width


@given(total=st.integers(4, 90))
def test_a_total_depth_is_met_exactly_in_the_old_proportions(total):
    base = zoo.load("resnet50")
    scaled = with_total_depth(base, total)
    assert total_depth(scaled) == total
    for before, after in zip(base.stage, scaled.stage, strict=True):
        assert abs(after.depth - before.depth * total / 16) <= 1 or after.depth == 1


@pytest.mark.parametrize("name", RULES)
def test_a_rule_spends_its_shares_and_fills_the_budget(name):
    base, limits = zoo.load("resnet18"), Limits(macs=8_000_000_000)
    ratio = 1 / limits.use(price(base))
    assert sum(RULES[name].shares(ratio)) == pytest.approx(1)
    scaled = RULES[name].apply(base, limits)
    assert 0.97 <= limits.use(price(scaled)) <= 1
    if name not in ("regnet", "depth_only"):  # depth comes in whole blocks, and regnet fixes it
        spent, asked = factors_between(base, scaled), RULES[name].factors(ratio)
        assert spent.resolution == pytest.approx(asked.resolution, rel=0.02)
        assert spent.width == pytest.approx(asked.width, rel=0.1)


def test_efficientnets_shares_are_those_of_its_exponents():
    depth, width, resolution = RULES["efficientnet"].shares(4)
    assert (round(depth, 2), round(width, 2), round(resolution, 2)) == (0.28, 0.29, 0.43)
    factors = RULES["efficientnet"].factors(math.prod((1.2, 1.1**2, 1.15**2)))
    assert factors.depth == pytest.approx(1.2)
    assert factors.resolution == pytest.approx(1.15)
