"""Designs on the surface of equal cost: within budget by construction, close below it nearly always."""

import random

import numpy as np
import pytest

from convsmith.analysis import cost
from convsmith.design import Design, lower, make_design, zoo
from convsmith.errors import BudgetError
from convsmith.scaling import Limits, price, solve
from convsmith.scaling.price import block_form, block_price
from convsmith.scaling.solve import narrowest

FAMILIES = {
    "conv": {},
    "plain": {},
    "residual": {},
    "bottleneck": {},
    "depthwise": {},
    "inverted_residual": {"expansion": 4.0},
}
BUDGETS = (200_000, 1_000_000, 4_000_000, 16_000_000, 64_000_000, 300_000_000)


def draw(rng: random.Random, family: str) -> Design:
    """A random shape: 3 or 4 stages, 3 to 27 blocks, 16 to 32 px, widths that grow by 1.5 to 3."""
    stages = rng.choice((3, 3, 4))
    side = rng.choice((16, 20, 24, 28, 32))
    growth = rng.uniform(1.5, 3)
    depths = [1] * stages
    for _ in range(round(float(np.exp(rng.uniform(np.log(stages), np.log(27))))) - stages):
        depths[rng.randrange(stages)] += 1
    return make_design(
        {
            "name": "draw",
            "input": [3, side, side],
            "stem": {"block": "conv", "width": 16},
            "stage": [
                {"block": family, "depth": d, "width": int(16 * growth**n), "stride": 1 + (n > 0), **FAMILIES[family]}
                for n, d in enumerate(depths)
            ],
            "head": {"task": "classify", "classes": 10},
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("family", FAMILIES)
def test_nearly_every_feasible_draw_fills_the_budget_and_none_exceeds_it(family, budget):
    rng, limits, filled, missed = random.Random(budget), Limits(macs=budget), 0, 0
    for _ in range(300):
        shape = draw(rng, family)
        try:
            solved = solve(shape, limits, quantum=8 if budget >= 8_000_000 else 4)
        except BudgetError:
            missed += price(narrowest(shape)).macs <= budget
            continue
        use = price(solved).macs / budget
        assert use <= 1
        filled += use >= 0.97
    assert filled / (filled + missed) >= 0.95


@pytest.mark.parametrize("family", FAMILIES)
def test_the_price_of_a_design_is_the_cost_of_its_graph(family):
    rng = random.Random(3)
    for _ in range(10):
        design = draw(rng, family)
        table = cost(lower(design))
        assert (price(design).macs, price(design).params) == (table.macs, table.params)


@pytest.mark.parametrize("name", zoo.names())
def test_the_price_of_a_zoo_network_is_the_cost_of_its_graph(name):
    table = cost(lower(zoo.load(name)))
    assert (price(zoo.load(name)).macs, price(zoo.load(name)).params) == (table.macs, table.params)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_form_of_a_block_is_exact_where_nothing_is_rounded(family, stride):
    stage = draw(random.Random(0), family).stage[0]
    form = block_form(stage, (16, 16), stride)
    for a, b in ((8, 8), (16, 40), (80, 24), (200, 200)):
        exact, _ = block_price(stage.model_copy(update={"width": b}), (a, 16, 16), stride)
        assert form(np.float64(a), np.float64(b)) == pytest.approx([exact.macs, exact.params])


def test_several_limits_hold_at_once_and_the_tightest_is_filled():
    shape = draw(random.Random(5), "residual")
    for limits in (Limits(8_000_000, 1_000_000), Limits(64_000_000, 50_000), Limits(params=30_000)):
        solved = solve(shape, limits)
        assert 0.97 <= limits.use(price(solved)) <= 1
        assert limits.macs is None or price(solved).macs <= limits.macs
        assert limits.params is None or price(solved).params <= limits.params


def test_any_number_of_stages_is_solved_without_looking_at_all_combinations_of_their_widths():
    """Forty stages have 3^40 combinations, and numpy no arrays of so many dimensions."""
    stages = [{"block": "plain", "depth": 1, "width": 16 + number, "stride": 1} for number in range(40)]
    design = make_design({
        "name": "long", "input": [3, 8, 8], "stem": {"block": "conv", "width": 16, "stride": 1}, "stage": stages,
        "head": {"task": "classify", "classes": 10},
    })  # fmt: skip
    budget = 3 * price(design).macs
    assert 0.97 * budget <= price(solve(design, Limits(macs=budget), quantum=4)).macs <= budget


def test_a_budget_that_cannot_be_met_says_what_the_narrowest_costs():
    with pytest.raises(BudgetError, match="the narrowest costs") as caught:
        solve(draw(random.Random(1), "residual"), Limits(macs=1_000))
    assert "blocks at" in str(caught.value)
    assert "1.000k MACs" in str(caught.value)


def test_a_budget_without_any_limit_is_refused():
    with pytest.raises(BudgetError, match="macs or params"):
        Limits()
