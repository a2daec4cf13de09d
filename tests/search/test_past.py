"""What earlier runs trained tells a race of another budget which networks to try."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from convsmith.scaling import Limits
from convsmith.search.candidate import Outcome
from convsmith.search.past import MOST, evidence
from convsmith.search.policy import Load, Policy
from convsmith.search.racing import race
from convsmith.search.results import Results
from convsmith.search.shared import SharedStudy
from convsmith.search.space import Space, make_field
from tests.search.power_law import FULL, log_loss, trained

LOAD = Load(train=10_000, select=1_500, test=1_000)


def networks(macs, seed=3):
    return make_field(Space(Limits(macs=macs), channels=3, native=32, classes=10), 40, seed=seed).candidates


@pytest.fixture(scope="module")
def field():
    return networks(1_000_000)


@pytest.fixture(scope="module")
def others():
    return networks(2_000_000)


class Machine:
    """A clock, and trainings that take a millisecond an image and come out as the power law says."""

    def __init__(self):
        self.now, self.works, self.events = 0.0, [], []

    def train(self, work):
        self.works.append(work)
        seconds = LOAD.seconds(1e-3, work.images, work.final)
        self.now += seconds
        chance = np.random.default_rng([work.seed, work.images])
        loss = log_loss(work.candidate, work.images) * math.exp(0.005 * chance.standard_normal())
        total = LOAD.test if work.final else LOAD.select
        right = np.arange(total) < total * (1 - loss / 8)
        return Outcome(float(right.mean()), loss, seconds, work.images, np.packbits(right).tobytes(), total)

    def race(self, field, study, past=()):
        return race(
            field,
            train=self.train,
            time_candidate=lambda candidate: 1e-3,
            study=study,
            load=LOAD,
            policy=Policy(),
            clock=lambda: self.now,
            deadline=3_600.0,
            emit=lambda event, fields: self.events.append((event, fields)),
            past=past,
        )

    def told(self, event):
        return [fields for name, fields in self.events if name == event]


def drawn(plan, field):
    by_key = {one.key: one for one in field}
    return [by_key[key] for key in plan.entrants if not by_key[key].rule]


def test_half_as_many_of_the_drawn_networks_enter_and_better_ones(field, others, memory):
    past = [trained(one, FULL // 4, log_loss(one, FULL // 4)) for one in others]
    cold, warm = Machine(), Machine()
    races = [cold.race(field, memory()), warm.race(field, memory(), past)]
    entered = [drawn(one.plan, field) for one in races]
    assert len(entered[1]) == 8 < len(entered[0])
    means = [np.mean([log_loss(one, FULL) for one in some]) for some in entered]
    assert means[1] < means[0]
    lengths = [one.finals[0].work.images for one in races]
    assert lengths[1] > lengths[0]  # what fewer networks leave goes to longer trainings
    assert cold.told("past") == []
    assert warm.told("past") == [{"trainings": len(others), "networks": len(others)}]


def test_rungs_are_ranked_with_what_earlier_runs_trained(field, others, memory):
    past = [trained(one, FULL // 4, log_loss(one, FULL // 4)) for one in others]
    expected = []
    for known in ((), past):
        machine = Machine()
        machine.race(field[:6], memory(), known)
        expected.append(machine.told("ranking")[0]["expected"])
    assert expected[0] == {}  # six networks are too few to learn from
    assert expected[1].keys() == {one.key for one in field[:6]}


def test_a_resumed_race_keeps_to_what_it_knew_when_it_began(field, others, memory):
    past = [trained(one, FULL // 4, log_loss(one, FULL // 4)) for one in others]
    study, first, again = memory(), Machine(), Machine()
    found = first.race(field, study, past)
    misled = [dataclasses.replace(one, outcome=dataclasses.replace(one.outcome, log_loss=1.0)) for one in past]
    assert again.race(field, study, misled[:9]).to_dict() == found.to_dict()
    assert again.works == []


def test_too_few_trainings_change_nothing(field, others, memory):
    plans = [
        Machine().race(field, memory(), past).plan for past in ((), [trained(one, FULL, 1.0) for one in others[:7]])
    ]
    assert plans[0].entrants == plans[1].entrants


def test_evidence_is_of_other_networks_from_scratch_that_did_not_fail(field, others):
    good = trained(others[0], FULL, 1.0)
    bad = [
        trained(field[0], FULL, 1.0),
        trained(others[1], FULL, math.inf),
        trained(dataclasses.replace(others[2], start="weights"), FULL, 1.0),
        dataclasses.replace(good, work=dataclasses.replace(good.work, final=True)),
    ]
    assert evidence([*bad, good], field) == [good]


def test_of_very_many_trainings_those_of_the_nearest_budgets_are_taken_in_their_order(field, others):
    far = [trained(one, images, 1.0) for one in networks(30_000_000)[:30] for images in range(1000, 1010)]
    near = [trained(one, images, 1.0) for one in others[:20] for images in range(1000, 1010)]
    mixed = [one for pair in itertools.zip_longest(far, near) for one in pair if one is not None]
    taken = evidence(mixed, field)
    assert len(taken) == MOST
    assert set(map(id, near)) <= set(map(id, taken))
    assert taken == [one for one in mixed if any(one is other for other in taken)]


@pytest.mark.parametrize("fresh", [False, True])
def test_a_search_of_half_the_budget_is_told_of_the_whole_ones(field, others, memory, tmp_path, fresh):
    context = {"data": "digits", "recipe": "usual", "conditions": "four threads"}
    first, second = Machine(), Machine()
    there = Results({**context, "conditions": "two threads"}, tmp_path)  # probes choose differently from run to run
    first.race(others, SharedStudy(memory(), there, lambda: first.now))
    (tmp_path / "damaged.ndjson").write_text("{")
    study = SharedStudy(memory(), Results(context, tmp_path), lambda: second.now, fresh=fresh)
    second.race(field, study, study.past())
    searched = {work.identity for work in first.works if not work.final}
    want = [] if fresh else [len(searched)]
    assert [fields["trainings"] for fields in second.told("past")] == want
    assert SharedStudy(memory(), Results({**context, "recipe": "other"}, tmp_path)).past() == []
