"""The plan of curves keeps the time, gives up in the promised order, and asks for the same trainings again."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith.errors import TrainingError
from convsmith.jobs.curves_plan import CurvesPlan, Wish, plan_curves
from convsmith.search.policy import Load

STEPS = [["base"], ["d1", "w1", "r1", "c1"], ["d2", "w2", "r2"], ["d3", "w3"]]
KEYS = [key for step in STEPS for key in step]
LOAD = Load(train=10_000, select=1_000, test=2_000)
PACES = {key: 1e-4 * 2 ** int(key[1] if key[1].isdigit() else 0) for key in KEYS}


def seconds_of(plan, paces=PACES, load=LOAD):
    """A plain sum over all trainings: learning, and judging at a third of the pace."""
    return sum(paces[key] * (plan.images + load.test / 3) * plan.seeds for key in plan.keys)


@pytest.mark.slow
@given(
    available=st.floats(1, 1e5), seeds=st.integers(1, 5), epochs=st.none() | st.floats(0.1, 30),
    train=st.integers(200, 50_000), slow=st.floats(0.1, 10),
)  # fmt: skip
def test_a_plan_keeps_the_time_or_says_what_it_needs(available, seeds, epochs, train, slow):
    load, paces = Load(train=train, select=100, test=500), {key: pace * slow for key, pace in PACES.items()}
    wish = Wish(STEPS, seeds, epochs)
    try:
        plan = plan_curves(wish, available, paces, load)
    except TrainingError:
        images = 1.3 * max(2 * train, 5_000) if epochs is None else max(2, round(epochs * train))
        assert sum(paces[key] for key in KEYS[:5]) * (images + 500 / 3) > 0.96 * available
        return
    assert plan.seconds == pytest.approx(seconds_of(plan, paces, load))
    assert plan.seconds <= 0.97 * available
    assert list(plan.keys) == KEYS[: len(plan.keys)]
    assert len(plan.keys) in (5, 8, 10)
    assert 1 <= plan.seeds <= seeds
    if epochs is None:
        assert plan.images >= max(2 * train, 5_000)
        assert plan.images <= max(20 * train, 50_000)
    assert (len(plan.keys) < 10 or plan.seeds < seeds) == any("left out" in n or "seeds" in n for n in plan.notes)


def test_what_gives_first_is_length_then_seeds_then_budgets_then_the_rest():
    shapes = []
    for available in (3_000, 600, 400, 250, 180, 90, 60, 30):
        plan = plan_curves(Wish(STEPS, 3), available, PACES, LOAD)
        shapes.append((len(plan.keys), plan.seeds, plan.images))
    assert shapes[0] == (10, 3, 200_000)
    lengths, seeds, keys = [s[2] for s in shapes], [s[1] for s in shapes], [s[0] for s in shapes]
    assert all(images >= 50_000 for images, several in zip(lengths, seeds, strict=True) if several == 3)
    assert seeds == sorted(seeds, reverse=True)
    assert keys == sorted(keys, reverse=True)
    assert shapes[-1][0] == 5
    with pytest.raises(TrainingError, match="the base and of each network of the first step"):
        plan_curves(Wish(STEPS, 3), 5, PACES, LOAD)


def test_the_time_that_a_refusal_asks_for_suffices():
    with pytest.raises(TrainingError) as caught:
        plan_curves(Wish(STEPS, 3), 5, PACES, LOAD)
    more = float(re.search(r"([\d.]+) s more", caught.value.remedy)[1])
    assert plan_curves(Wish(STEPS, 3), 5 + more, PACES, LOAD).keys == tuple(KEYS[:5])


def test_another_pace_meets_the_same_lengths():
    lengths = {
        plan_curves(Wish(STEPS, 3), 1_000, {key: pace * slow / 100 for key, pace in PACES.items()}, LOAD).images
        for slow in range(80, 125)
    }
    assert len(lengths) <= 3
    assert all(len(str(images).rstrip("0")) <= 2 for images in lengths)


def test_what_is_on_record_costs_nothing():
    known = {(key, 50_000, number) for key in KEYS for number in (1, 2, 3)}
    cold = plan_curves(Wish(STEPS, 3, epochs=5), 1_000, PACES, LOAD)
    warm = plan_curves(Wish(STEPS, 3, epochs=5), 1, PACES, LOAD, lambda *asked: asked in known)
    assert (warm.keys, warm.seeds, warm.images, warm.seconds) == (cold.keys, cold.seeds, cold.images, 0)


def test_a_plan_survives_json():
    plan = plan_curves(Wish(STEPS, 3), 90, PACES, LOAD)
    assert plan.notes
    assert CurvesPlan.from_dict(plan.to_dict()) == plan
