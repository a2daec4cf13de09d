from __future__ import annotations

import itertools
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from convsmith.search.division import Division, coarse, divide_finals, ladder
from convsmith.search.plan import Plan
from convsmith.search.planning import is_hopeless, least_time, make_plan
from convsmith.search.policy import Load, Policy, policy_for
from tests.search.world import make_candidate

CANDIDATES = [make_candidate(n, f"rule:r{n}" if n < 6 else f"draw:{n}", "depth") for n in range(24)]
TEXT = "time is too short"


@st.composite
def situations(draw):
    rules, draws = draw(st.integers(0, 6)), draw(st.integers(0, 18))
    field = CANDIDATES[:rules] + CANDIDATES[6 : 6 + draws] or CANDIDATES[:1]
    paces = {one.key: draw(st.floats(1e-5, 1e-2)) for one in field}
    load = Load(
        train=draw(st.integers(100, 50_000)),
        select=draw(st.integers(10, 5_000)),
        test=draw(st.integers(10, 10_000)),
        setup=draw(st.sampled_from([0.0, 0.5, 3.0])),
    )
    policy = Policy(rungs=draw(st.integers(1, 3)))
    return draw(st.floats(1, 1e6)), field, paces, load, policy


@pytest.mark.slow
@given(situations())
def test_plans_keep_their_promises(situation):
    available, field, paces, load, policy = situation
    plan = make_plan(available, field, paces, load, policy)
    rules = [one.key for one in field if one.rule]
    assert set(rules) <= set(plan.entrants)
    draws = [one.key for one in field if not one.rule]
    assert list(plan.entrants[len(rules) :]) == draws[: len(plan.entrants) - len(rules)]
    assert len(plan.rungs) <= policy.rungs
    if any(TEXT in note for note in plan.notes):
        return
    assert plan.seconds <= available
    assert sum(rung.seconds for rung in plan.rungs) <= (1 - policy.reserve) * available
    lengths = [rung.images for rung in plan.rungs]
    assert lengths == sorted(lengths)
    assert (lengths or [plan.finals.images])[0] >= policy.min_images
    assert plan.finals.images <= policy.longest(load)
    assert 1 <= plan.finals.seeds <= 3


def test_the_time_is_used_up_where_length_is_not_capped():
    paces = {one.key: 1e-3 for one in CANDIDATES}
    load, policy = Load(10_000, 1_500, 2_000), Policy()
    plan = make_plan(4 * 3600, CANDIDATES, paces, load, policy)
    assert 0.88 * 0.97 * 4 * 3600 <= plan.seconds <= 0.97 * 4 * 3600
    assert plan.rungs[0].candidates == 24
    first, second, third = (rung.images / plan.finals.images for rung in plan.rungs)
    assert (first, second, third) == pytest.approx((0.04, 0.11, 0.35), abs=1e-3)
    assert plan.rungs[0].seconds == pytest.approx(24 * 1e-3 * (plan.rungs[0].images + 1500 / 3))


@given(st.floats(1, 1e7), st.floats(1, 1e7))
def test_lengths_of_a_grid_are_close_below_and_in_the_order_of_what_they_are_for(images, others):
    assert coarse(images) <= images
    assert coarse(images) >= 0.88 * images or images < 30
    assert (coarse(images) <= coarse(others)) or images > others
    assert coarse(coarse(images)) == coarse(images)


def test_runs_whose_paces_differ_a_little_ask_for_the_same_lengths():
    load, lengths = Load(10_000, 1_500, 2_000), []
    for percent in range(94, 107):
        paces = {one.key: 1e-5 * percent for one in CANDIDATES}
        lengths.append([rung.images for rung in make_plan(4 * 3600, CANDIDATES, paces, load, Policy()).rungs])
    assert sum(one == lengths[6] for one in lengths) >= 7


def test_short_time_gives_up_long_rungs_seeds_networks_and_rungs_and_never_rules():
    paces = {one.key: 1e-3 for one in CANDIDATES}
    load, policy = Load(10_000, 1_500, 2_000), Policy()
    plans = [make_plan(t, CANDIDATES, paces, load, policy) for t in (14_400, 9_000, 1_300, 300, 60, 20)]
    assert [plan.steps[-1].length for plan in plans[:3]] == [0.35, 0.11, 0.11]
    shapes = [(len(plan.rungs), plan.finals.seeds, len(plan.entrants)) for plan in plans]
    assert shapes == sorted(shapes, reverse=True)
    assert shapes[0] == (3, 3, 24)
    assert shapes[1] == (2, 3, 24)
    assert 6 < shapes[3][2] < shapes[2][2] < 24
    assert shapes[-1] == (1, 1, 6)
    assert [bool(plan.notes) for plan in plans] == [False, False, True, True, True, True]
    assert [any(TEXT in note for note in plan.notes) for plan in plans] == [False] * 5 + [True]


@pytest.mark.parametrize("seconds", [150, 300, 700, 1300, 9000])
def test_no_other_division_of_the_time_promises_more(seconds):
    """By the law written out, over every number of drawn networks, rungs, lengths of them and seeds."""
    load, policy = Load(10_000, 1_500, 2_000), Policy()
    paces = {one.key: 1e-3 for one in CANDIDATES}

    def error(networks, steps, seeds):
        divided = Division(seconds, 0.35 * seconds, [1e-3] * networks, steps, networks, load, policy, seeds)
        plan = divided.plan()
        found, before = 0.0, 0.0
        for stage in reversed([*plan.rungs, plan.finals]):
            sure = 0.85 ** (math.log(plan.finals.images / stage.images) / math.log(3))
            sure = sure**0.5 if stage in plan.rungs[1:] else sure
            best = norm.ppf((stage.candidates - 3 / 8) / (stage.candidates + 1 / 4))
            found, before = found + 0.045 * sure * (best - before), best
        passes = min(divided.full / 10_000, 100)
        return 0.7 * passes**-0.25 - found + 0.15 / seeds if plan.shortest >= 2_500 else math.inf

    found = make_plan(seconds, CANDIDATES, paces, load, policy)
    best = error(len(found.entrants), found.steps, found.finals.seeds)
    ladders = [ladder(rungs, below) for rungs in (1, 2, 3) for below in (0, 1, 2) if rungs + below <= 4]
    assert {(len(steps), steps[-1].length) for steps in ladders} >= {(3, 0.35), (2, 0.11), (1, 1.0)}
    assert best == min(itertools.starmap(error, itertools.product(range(6, 25), ladders, (1, 2, 3))))


def test_a_short_rung_for_all_goes_before_long_trainings_of_the_rules_alone():
    """Drawn networks were left out, and they were the best (benchmarks/fit/table.py, "photographs, 6M")."""
    paces = {one.key: 2e-3 for one in CANDIDATES}
    plan = make_plan(2_400, CANDIDATES, paces, Load(8_500, 1_500, 4_000, setup=0.5), policy_for(2_400))
    assert len(plan.entrants) >= 20
    assert 2_500 <= plan.shortest < 17_000
    assert plan.delivery.images > 10 * plan.finals.images > 250_000  # and what is handed over is trained for long


def test_a_small_set_of_images_has_long_rungs_and_seeds_in_two_and_a_half_minutes():
    field = CANDIDATES[:10]
    load = Load(train=980, select=170, test=360, setup=0.3)
    plan = make_plan(150, field, dict.fromkeys((one.key for one in field), 2e-4), load, policy_for(150))
    assert plan.shortest >= 10 * 980
    assert len(plan.entrants) == 10
    assert plan.finals.seeds >= 2
    assert plan.finals.images >= 30_000
    assert plan.delivery.images == 98_000  # a hundred passes are the most


@pytest.mark.parametrize("setup", [0.0, 0.5])
def test_where_the_finals_need_the_time_the_first_rung_is_as_short_as_says_anything(setup):
    """A fixed share of the finals was too short or too long, and these ended as short as the rung."""
    paces, load = {one.key: 1.7e-3 for one in CANDIDATES}, Load(8_500, 1_500, 4_000, setup=setup)
    plan = make_plan(80, CANDIDATES, paces, load, policy_for(80))
    assert [rung.images for rung in plan.rungs] == [2_500]
    assert plan.finals.images > 2.5 * 2_500
    assert 0.88 * 0.97 * 80 <= plan.seconds <= 0.97 * 80


def test_a_rung_hardly_longer_than_the_one_before_is_not_planned():
    paces, load = {one.key: 1.7e-3 for one in CANDIDATES}, Load(8_500, 1_500, 4_000, setup=0.5)
    for seconds in range(60, 3_000, 60):
        plan = make_plan(seconds, CANDIDATES, paces, load, Policy(max_images=30_000, max_epochs=1))
        lengths = [rung.images for rung in plan.rungs]
        assert all(longer >= 2 * shorter for shorter, longer in itertools.pairwise(lengths)), (seconds, lengths)


def test_few_networks_go_straight_to_the_finals():
    field = CANDIDATES[:3]
    plan = make_plan(3600, field, dict.fromkeys((one.key for one in field), 1e-3), Load(1000, 100, 100), Policy())
    assert plan.rungs == ()
    assert plan.finals.candidates == 3


def test_dividing_anew_spends_what_is_left():
    load, policy = Load(10_000, 1_500, 2_000), Policy()
    plan = Division(3000, 2000, [1e-3] * 8, ladder(3)[1:], 24, load, policy, 3).plan()
    assert [rung.candidates for rung in plan.rungs] == [8, 5]
    assert sum(rung.seconds for rung in plan.rungs) <= 1000
    assert plan.seconds <= 3000


def test_finals_give_up_seeds_before_length():
    load, policy, paces = Load(10_000, 1_500, 3_000), Policy(), [1e-3] * 3
    each = 3 * 101.0
    assert divide_finals(4 * each, 100_000, paces, load, policy).seeds == 3
    assert 100_000 <= divide_finals(3.2 * each, 100_000, paces, load, policy).images < 104_000
    assert divide_finals(2.2 * each, 100_000, paces, load, policy).seeds == 2
    last = divide_finals(0.5 * each, 100_000, paces, load, policy)
    assert last.seeds == 1
    assert 40_000 < last.images < 50_000
    assert last.seconds <= 0.5 * each


def test_time_that_the_rungs_left_over_makes_the_finals_longer_up_to_the_longest():
    load, policy, paces = Load(10_000, 1_500, 3_000), Policy(), [1e-3] * 3
    longer = divide_finals(9 * 150.0, 100_000, paces, load, policy)
    assert longer.seeds == 3
    assert longer.seconds == pytest.approx(0.97 * 9 * 150.0, rel=1e-4)
    assert divide_finals(1e9, 100_000, paces, load, policy).images == policy.longest(load)


def test_a_plan_can_be_printed_and_stored():
    paces = {one.key: 1e-3 for one in CANDIDATES}
    plan = make_plan(4 * 3600, CANDIDATES, paces, Load(10_000, 1_500, 2_000), Policy())
    lines = plan.lines()
    assert lines[0].startswith("rung 1: 24 networks x ")
    assert lines[3].startswith("finals: 3 networks x 3 seeds x ")
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.slow
@settings(max_examples=40)
@given(situations())
def test_the_least_time_is_the_least_that_trains_long_enough(situation):
    _, field, paces, load, policy = situation
    least = least_time(field, paces, load, policy)
    assert make_plan(least, field, paces, load, policy).shortest >= policy.min_images
    assert make_plan(0.9 * least, field, paces, load, policy).shortest < policy.min_images


def test_a_plan_is_hopeless_below_a_share_of_the_shortest_training_and_never_by_default():
    paces, load = {one.key: 1e-3 for one in CANDIDATES}, Load(10_000, 1_500, 2_000)
    policy = policy_for(60)
    least = least_time(CANDIDATES, paces, load, policy)
    plans = {share: make_plan(share * least, CANDIDATES, paces, load, policy) for share in (1.0, 0.6, 0.3)}
    assert [is_hopeless(plan, policy) for plan in plans.values()] == [False, False, True]
    assert not is_hopeless(plans[0.3], Policy())
