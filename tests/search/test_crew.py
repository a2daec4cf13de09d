"""Several hands at a time: as many as there are, each work once, and the same race as with one."""

from __future__ import annotations

from collections import Counter

import pytest

from convsmith.search.crew import Pool
from convsmith.search.division import Division, divide_finals, in_turns, ladder
from convsmith.search.policy import Load, Policy, policy_for
from convsmith.search.racing import race
from convsmith.search.statistics import judge

LENGTHS = Policy(min_images=1_000, max_epochs=0.1, max_images=20_000, max_seeds=3)


class Elsewhere:
    """Hands that end with the work that was begun last."""

    def __init__(self, world, hands):
        self.world, self.hands = world, hands
        self.running, self.most, self.works = {}, 0, []

    def submit(self, work):
        handle = len(self.works)
        self.works.append(work.identity)
        self.running[handle] = work
        self.most = max(self.most, len(self.running))
        return handle

    def first(self, handles):
        assert set(handles) == set(self.running)
        handle = max(handles)
        return handle, self.world.train(self.running.pop(handle))


def raced(world, study, crew=None, seconds=40_000.0, clock=lambda: 0.0, events=None):
    told = [] if events is None else events
    return race(
        world.candidates,
        train=world.train, time_candidate=world.time, study=study, load=world.load, policy=LENGTHS, clock=clock,
        deadline=seconds, crew=crew, emit=lambda event, fields: told.append((event, fields)),
    )  # fmt: skip


def pool(study, elsewhere):
    return Pool(study, lambda: elsewhere.hands, elsewhere.submit, elsewhere.first)


@pytest.mark.slow
@pytest.mark.parametrize("hands", [1, 3, 50])
def test_a_race_of_many_hands_is_that_of_one(hands, world, memory):
    expected = raced(world(), memory()).to_dict()
    study, elsewhere, events = memory(), Elsewhere(world(), hands), []
    found = raced(elsewhere.world, study, pool(study, elsewhere), events=events).to_dict()
    for key in ("rungs", "finals", "finalists", "best_rule"):
        assert found[key] == expected[key]
    assert set(Counter(elsewhere.works).values()) == {1}
    first = next(len(fields["candidates"]) for event, fields in events if event == "rung")
    assert elsewhere.most == min(hands, first)
    again = Elsewhere(world(), hands)
    assert raced(again.world, study, pool(study, again)).to_dict()["finals"] == expected["finals"]
    assert again.works == []


@pytest.mark.parametrize("hands", [1, 4])
def test_what_is_on_record_costs_a_resumed_race_the_time_in_which_it_was_done(hands, world, memory):
    study, events = memory(), []
    raced(world(), study, pool(study, Elsewhere(world(), hands)))
    again = Elsewhere(world(), hands)
    raced(again.world, study, pool(study, again), events=events)
    trained = sum(fields["outcome"]["seconds"] for event, fields in events if event == "training")
    (left,) = [fields["seconds_left"] for event, fields in events if event == "stop"]
    assert left == pytest.approx(40_000.0 - trained / hands)


def test_many_hands_are_planned_in_turns():
    load, policy = Load(10_000, 1_000, 1_000), Policy(max_epochs=1e6)
    assert [in_turns(12, hands) for hands in (1, 5, 12, 1000)] == [12, 3, 1, 1]

    def planned(hands):
        return Division(3600.0, 0.0, [1e-3] * 12, ladder(2), 12, load, policy, 3, hands).plan()

    one, many = planned(1), planned(1000)
    assert one.seconds <= 3600 * 0.97
    assert many.seconds <= 3600 * 0.97
    # A rung of 0.35 of the length, one of all of it, in which one waits for the others, and the finals; each network
    # judged besides.
    judged = 1e-3 * (3 * 1_000 + 1_000) / 3
    assert many.finals.images == pytest.approx((0.97 * 3600 - judged) / (3.35 * 1e-3), rel=0.13)  # a coarse grid
    assert one.finals.images < many.finals.images / 5  # 12 x 0.35 + 5 + 9 turns
    finals = divide_finals(100.0, 10**9, [1e-3, 3e-3], load, policy, 6)
    assert finals.seconds <= 94  # twice the margin
    assert finals.images == pytest.approx((94 - 1) / 3e-3, rel=0.01)  # the slower one has a hand for itself


class AtOnce(Elsewhere):
    """Hands whose trainings go on at the same time: the clock goes to the end of the next one."""

    def submit(self, work):
        before = self.world.now
        outcome = self.world.train(work)
        end, self.world.now = self.world.now, before
        handle = len(self.works)
        self.works.append(work.identity)
        self.running[handle] = end, outcome
        return handle

    def first(self, handles):
        handle = min(handles, key=lambda one: self.running[one][0])
        end, outcome = self.running.pop(handle)
        self.world.now = max(self.world.now, end)
        return handle, outcome


@pytest.mark.slow
@pytest.mark.parametrize("hands", [8, 24, 64])
@pytest.mark.parametrize("seed", range(3))
def test_with_any_number_of_hands_there_is_time_for_what_is_proposed_and_for_the_finals(world, memory, hands, seed):
    """They are trained when the others of their rung have been, however many hands are free."""
    one, study, events = world(seed=seed, draws=40), memory(), []
    for candidate in one.candidates:
        one.paces[candidate.key] *= 3 if candidate.stratum == "depth" else 1
    found = race(
        one.candidates,
        train=one.train, time_candidate=one.time, study=study, load=one.load, policy=policy_for(1_800.0),
        clock=one.clock, deadline=1_800.0, crew=pool(study, AtOnce(one, hands)),
        emit=lambda event, fields: events.append((event, fields)),
        choose=lambda finals: judge(finals).chosen.candidate,
    )  # fmt: skip
    proposed = next(fields["candidates"] for event, fields in events if event == "proposed")
    assert set(proposed) <= {training.candidate.key for training in found.rungs[0]}
    assert len({training.candidate.key for training in found.finals}) >= 2
    assert one.now <= 1.01 * 1_800.0
