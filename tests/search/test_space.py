"""The space: every entrant within the budget, spread over the three axes, and a plain word where nothing fits."""

from typing import get_args

import pytest

from convsmith.design import lower
from convsmith.errors import BudgetError
from convsmith.scaling import RULES, Limits, price
from convsmith.search.space import Space, make_field
from convsmith.search.space_file import Family, default_space

SPACES = {
    "digits": Space(Limits(macs=200_000), 1, 8, 10),
    "photographs": Space(Limits(macs=8_000_000), 3, 32, 10),
    "few parameters": Space(Limits(macs=4_000_000, params=20_000), 3, 32, 100),
    "large": Space(Limits(macs=64_000_000), 3, 64, 5),
    "tiny": Space(Limits(macs=20_000), 1, 8, 10),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_every_entrant_is_within_the_budget_and_can_be_built(name):
    space = SPACES[name]
    field = make_field(space, 12, seed=1)
    assert len(field.candidates) >= 12
    for candidate in field.candidates:
        cost = price(candidate.design)
        assert (cost.macs, cost.params) == (candidate.macs, candidate.params)
        assert 0.97 <= space.limits.use(cost) <= 1
        assert sum(candidate.shares) == pytest.approx(1)
        assert lower(candidate.design).types[lower(candidate.design).outputs[0]].shape == (1, space.classes)


@pytest.mark.parametrize("name", SPACES)
def test_every_rule_takes_part_or_says_why_not(name):
    field = make_field(SPACES[name], 4, seed=1)
    assert {*field.rules, *(refused.removeprefix("rule:") for refused in field.refused)} >= set(RULES)
    keys = {candidate.key for candidate in field.candidates}
    assert set(field.rules.values()) <= keys


def test_all_three_strata_are_present_and_drawn_networks_see_no_enlarged_images():
    field = make_field(SPACES["photographs"], 16, seed=0)
    assert {candidate.stratum for candidate in field.candidates} == {"depth", "width", "resolution"}
    drawn = [candidate for candidate in field.candidates if not candidate.rule]
    assert max(candidate.design.input[1] for candidate in drawn) <= 34  # the solver may move by two pixels


@pytest.mark.slow
@pytest.mark.parametrize("macs", [200_000, 8_000_000])
@pytest.mark.parametrize("family", get_args(Family))
def test_every_family_fills_the_budget(family, macs):
    declared = default_space().model_copy(update={"families": (family,)})
    field = make_field(Space(Limits(macs=macs), 3, 32, 10, declared), 4, seed=0)
    drawn = [candidate for candidate in field.candidates if not candidate.rule]
    assert len(drawn) == 4
    for candidate in drawn:
        assert {stage.block for stage in candidate.design.stage} == {family}
        assert 0.97 * macs <= price(candidate.design).macs <= macs


def test_the_same_seed_draws_the_same_networks_and_another_one_others():
    keys = [[c.key for c in make_field(SPACES["photographs"], 8, seed=seed).candidates] for seed in (0, 0, 1)]
    assert keys[0] == keys[1] != keys[2]


def test_rules_scale_one_base_by_their_shares():
    field = make_field(SPACES["photographs"], 1, seed=0)
    shares = {candidate.rule: candidate.shares for candidate in field.candidates if candidate.rule}
    assert shares["depth_only"][0] == pytest.approx(1, abs=0.1)
    assert shares["width_only"][1] == pytest.approx(1, abs=0.1)
    assert shares["resolution_only"][2] == pytest.approx(1, abs=0.1)
    assert 4 * price(field.base).macs == pytest.approx(8_000_000, rel=0.04)


def test_a_budget_that_nothing_meets_is_told_the_smallest_that_works():
    with pytest.raises(BudgetError, match="the smallest budget that works is about") as caught:
        make_field(Space(Limits(macs=300), 1, 8, 10), 4, seed=0)
    remedy = caught.value.remedy.removeprefix("the smallest budget that works is about ")
    macs = int(remedy.split()[0]) if "k" not in remedy else round(float(remedy.split("k")[0]) * 1000)
    assert make_field(Space(Limits(macs=macs + 1), 1, 8, 10), 4, seed=0).candidates
