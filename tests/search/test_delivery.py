"""The long training after the finals: of the network they chose, within the time, and compared with nothing."""

from __future__ import annotations

import dataclasses
import statistics

import pytest

from convsmith.search.crew import Pool
from convsmith.search.division import divide_delivery
from convsmith.search.planning import make_plan
from convsmith.search.policy import Load, Policy, policy_for
from convsmith.search.statistics import judge
from tests.search.test_racing import run as raced

POLICY = Policy(delivery=policy_for(3600).delivery)


def run(world, study, seconds=1800.0, **options):
    options = {"policy": POLICY, "choose": lambda finals: judge(finals).chosen.candidate, **options}
    return raced(world, study, seconds, **options)


@pytest.mark.parametrize("seconds", [300.0, 600.0, 1800.0])
@pytest.mark.parametrize("slowdown", [0.7, 1.0, 1.5])
def test_the_chosen_network_is_trained_for_the_rest_of_the_time(world, memory, seconds, slowdown):
    one = world(slowdown=slowdown, seed=3)
    found = run(one, memory(), seconds)
    last = one.works[-1]
    assert found.delivered is not None
    assert found.delivered.work == last
    assert last.candidate == judge(found.finals).chosen.candidate
    assert last.images > 2 * max(training.work.images for training in found.finals)
    assert last.seed not in {training.work.seed for training in found.finals}
    assert 0.92 * seconds <= one.now <= 1.03 * seconds


def test_it_is_judged_on_the_test_images_and_is_better_than_the_finals(world, memory):
    gained = []
    for seed in range(5):
        found = run(world(seed=seed), memory(), 600.0)
        mine = [one.outcome for one in found.finals if one.candidate == found.delivered.candidate]
        assert found.delivered.outcome.total == mine[0].total
        gained.append(found.delivered.outcome.accuracy - statistics.fmean(one.accuracy for one in mine))
    assert statistics.fmean(gained) > 0.005


def test_nobody_who_counts_the_finals_counts_it(world, memory):
    events = []
    found = run(world(), memory(), emit=lambda name, fields: events.append((name, fields)))
    finals = [fields["outcome"] for name, fields in events if name == "training" and fields["final"]]
    assert finals == [one.outcome.to_dict() for one in found.finals]
    (delivered,) = [fields for name, fields in events if name == "delivered"]
    assert "final" not in delivered
    assert delivered["outcome"] == found.delivered.outcome.to_dict()
    assert [name for name, _ in events][-4:] == ["delivery", "start", "delivered", "stop"]


@pytest.mark.parametrize("stop_at", [10, 60, 80, 90, -2, -1])
def test_a_race_stopped_before_or_in_it_ends_as_if_it_had_not_been(world, memory, stop_at):
    whole = world()
    expected = run(whole, memory())
    study, one = memory(), world(stop_at=stop_at % whole.calls)
    with pytest.raises(KeyboardInterrupt):
        run(one, study)
    again = world()
    assert run(again, study).to_dict() == expected.to_dict()
    assert again.works == whole.works[len(one.works) :]


def test_where_it_fails_the_finals_are_what_there_is(world, memory):
    found = run(world(broken=lambda work: work.seed > POLICY.max_seeds), memory())
    assert found.plan.delivery.images
    assert found.delivered is None
    assert found.finals
    assert all(not one.outcome.failed for one in found.finals)


def test_it_takes_the_seconds_left_or_is_not_worthwhile():
    load = Load(train=10_000, select=1_500, test=1_000)
    assert divide_delivery(10.0, 5_000, 1e-3, load, POLICY).images == pytest.approx(9_700 - 333, abs=1)
    assert divide_delivery(10.0, 8_000, 1e-3, load, POLICY).images == 0


def test_it_is_planned_for_from_where_the_rest_suffices_for_a_rung(world):
    one, policy = world(), policy_for(600)
    plans = [make_plan(seconds, one.candidates, one.paces, one.load, policy) for seconds in range(20, 2_000, 20)]
    planned = [plan.delivery.images > 0 for plan in plans]
    assert planned == sorted(planned)  # from some time on, always
    assert not planned[0]
    assert planned[-1]
    for plan in plans:
        assert plan.seconds <= 0.97 * plan.available + 1e-6
        if plan.delivery.images:
            assert plan.shortest >= policy.min_images
            assert plan.delivery.images >= 1.5 * plan.finals.images
            assert plan.delivery.seconds == pytest.approx(0.5 * 0.97 * plan.available, rel=0.01)


def test_what_the_longest_training_does_not_need_goes_into_the_finals(world, memory):
    one = world(load=Load(train=3_000, select=1_500, test=1_000))
    found = run(one, memory(), 3600.0)
    assert found.plan.delivery.images == 300_000  # a hundred passes
    assert 300_000 <= found.delivered.work.images <= 450_000
    assert found.finals[0].work.images == 200_000  # no longer, or the delivery would not be worthwhile
    again = sum(one.load.seconds(one.paces[finalist.key], 200_000, True) for finalist in found.finalists)
    assert one.now + again > 0.97 * 3600.0  # no other round of finals had fitted


def test_where_the_finals_are_as_long_as_trainings_get_all_of_the_time_goes_into_seeds(world, memory):
    policy = dataclasses.replace(POLICY, max_images=20_000, max_epochs=2.0)
    one = world()
    found = run(one, memory(), 8 * 3600.0, policy=policy)
    assert found.plan.delivery.images == 0
    assert found.delivered is None
    assert found.stopped == "seeds"


@pytest.mark.parametrize("first", [True, False], ids=["the fastest", "the slowest"])
@pytest.mark.parametrize("seconds", [900.0, 1000.0, 1400.0])
def test_whichever_finalist_is_chosen_no_time_is_left_over(world, memory, first, seconds):
    one = world(load=Load(train=3_000, select=1_500, test=1_000))

    def choose(finals):
        by_pace = sorted({training.candidate.key: training.candidate for training in finals}, key=one.paces.__getitem__)
        return next(training.candidate for training in finals if training.candidate.key == by_pace[-1 + first])

    found = run(one, memory(), seconds, choose=choose)
    paces = [one.paces[finalist.key] for finalist in found.finalists]
    assert max(paces) > 1.2 * min(paces)
    assert found.delivered.candidate == choose(found.finals)
    assert found.delivered.work.images <= 450_000
    assert one.now >= 0.95 * seconds


def test_it_is_planned_by_the_mean_pace_of_its_finals_not_by_the_last_one(world, memory):
    """A machine that others use is faster at one time than at another; half of the time hangs on this one training."""
    one = world()
    swift = one.train

    def train(work):
        before, outcome = one.now, swift(work)
        if not (work.final and work.seed == POLICY.min_seeds):
            return outcome
        one.now = before + 0.7 * outcome.seconds
        return dataclasses.replace(outcome, seconds=0.7 * outcome.seconds)

    one.train = train
    found = run(one, memory(), 900.0)
    assert {training.work.seed for training in found.finals} == {1, 2, 3}
    assert one.now <= 1.08 * 900.0


class Beside:
    """Hands on one machine: with each other they take longer than one alone."""

    def __init__(self, world, slower):
        self.world, self.slower, self.running = world, slower, []

    def submit(self, work):
        self.running.append(work)
        return work.identity

    def first(self, handles):
        before, work = self.world.now, self.running.pop(0)
        outcome = self.world.train(work)
        seconds = self.slower * outcome.seconds
        self.world.now = before + seconds / 2
        return work.identity, dataclasses.replace(outcome, seconds=seconds)


@pytest.mark.parametrize("slower", [1.0, 1.25, 1.6])
def test_where_others_slowed_the_finals_down_it_takes_all_the_time_that_it_has_alone(world, memory, slower):
    one, study = world(seed=3), memory()
    hands = Beside(one, slower)
    found = run(one, study, 1800.0, crew=Pool(study, lambda: 2, hands.submit, hands.first, here=one.train))
    assert found.delivered is not None
    assert found.delivered.work == one.works[-1]
    assert 0.94 * 1800 <= one.now <= 1.03 * 1800
