from __future__ import annotations

import dataclasses
import json
import math

import pytest

from convsmith.errors import RunError, TrainingError
from convsmith.search.candidate import Outcome, Training, Work
from convsmith.search.policy import Load, Policy
from convsmith.search.racing import race
from convsmith.search.rungs import promote, stand
from convsmith.search.statistics import judge
from convsmith.search.study import Study
from convsmith.search.surrogate import Surrogate
from convsmith.search.track import TooShort
from tests.search.world import make_candidate

HOURS = 3600.0


def run(world, study, seconds=4 * HOURS, **options):
    options = {"policy": Policy(), "seed": 0, **options}
    return race(
        world.candidates,
        train=world.train,
        time_candidate=world.time,
        study=study,
        load=world.load,
        clock=world.clock,
        deadline=seconds,
        **options,
    )


def losses(candidate, values):
    """One rung with these (origin, stratum, loss)."""
    return [
        Training(Work(candidate(n, origin, stratum), 1000, 0, False), Outcome(0.5, loss, 1.0, 1000, None, 1000))
        for n, (origin, stratum, loss) in enumerate(values)
    ]


@pytest.mark.slow
def test_race_finds_a_network_within_the_margin_of_the_best(world, memory):
    found, chosen, early = [], [], []
    for seed in range(50):
        one = world(seed=seed, load=Load(train=10_000, select=1_500, test=5_000))
        result = run(one, memory(), 8 * HOURS)
        images = result.finals[0].work.images
        judgement = judge(result.finals)
        truth = {candidate.key: one.accuracy(candidate, images) for candidate in one.candidates}
        best = max(truth.values())
        margin = max(0.003, 0.02 * (1 - best))
        first = max(one.candidates, key=lambda candidate: one.accuracy(candidate, one.load.train))
        found.append(truth[judgement.finalists[0].candidate.key] >= best - margin)
        # The chosen one may be another margin away, for being cheaper.
        chosen.append(truth[judgement.chosen.candidate.key] >= best - 2 * margin)
        early.append(truth[first.key] >= best - margin)
    assert sum(found) >= 45
    assert sum(chosen) >= 45
    assert sum(early) < 25  # the world does mislead whoever believes the first epoch


@pytest.mark.slow
def test_every_stratum_and_the_best_rule_survive_every_rung(world, memory):
    for seed in range(10):
        events = []
        result = run(world(seed=seed), memory(), emit=lambda name, fields, to=events: to.append((name, fields)))
        assert len(result.rungs) >= 2
        orders = [fields["order"] for name, fields in events if name == "ranking"]
        for order, before, after in zip(orders, result.rungs, result.rungs[1:], strict=False):
            ranked = sorted((t.candidate for t in before), key=lambda candidate, by=order: by.index(candidate.key))
            present = {training.candidate.key for training in after}
            for stratum in ("depth", "width", "resolution"):
                assert next(c for c in ranked if c.stratum == stratum).key in present
            assert next(c for c in ranked if c.rule).key in present
        rules = [training for training in result.rungs[-1] if training.candidate.rule]
        assert result.best_rule == min(rules, key=lambda training: training.outcome.log_loss).candidate
        assert result.best_rule in result.finalists


@pytest.mark.slow
@pytest.mark.parametrize("delivery", [0.0, 0.5])
def test_what_rungs_are_ranked_by_can_be_recomputed_from_the_events(world, memory, delivery):
    """It is the loss after the training that is handed over, or else after a final."""
    one, events = world(), []
    run(
        one,
        memory(),
        HOURS,
        policy=Policy(delivery=delivery),
        choose=lambda finals: judge(finals).chosen.candidate,
        emit=lambda name, fields: events.append((name, json.loads(json.dumps(fields)))),
    )
    by_key = {candidate.key: candidate for candidate in one.candidates}
    done, full, long, seen = [], 0, 0, 0
    for name, fields in events:
        if name == "plan":
            long = fields["plan"]["delivery"]["images"]
            assert bool(long) == bool(delivery)
        elif name == "rung":
            full = max(fields["full"], long)
        elif name == "training" and not fields["final"]:
            work = Work(by_key[fields["candidate"]], fields["images"], fields["seed"], final=False)
            done.append(Training(work, Outcome.from_dict(fields["outcome"])))
        elif name == "ranking":
            seen += 1
            again = Surrogate(done, full).expected([by_key[key] for key in fields["expected"]])
            assert again == pytest.approx(fields["expected"], rel=1e-9)
            assert fields["order"] == sorted(fields["order"], key=fields["expected"].__getitem__)
    assert seen >= 2


def test_half_of_the_drawn_places_go_to_networks_that_were_only_foreseen(world, memory):
    one, events, timed = world(draws=40), [], []
    world_time = one.time
    one.time = lambda candidate: timed.append(candidate.key) or world_time(candidate)
    result = run(one, memory(), emit=lambda name, fields: events.append((name, fields)))
    proposed = [fields["candidates"] for name, fields in events if name == "proposed"]
    drawn = [candidate.key for candidate in one.candidates if not candidate.rule]
    rules = {c.key for c in one.candidates if c.rule}
    entered = len(result.plan.entrants) - len(rules)
    held = entered // 2
    planned = set(drawn[: entered - held])
    assert len(proposed[0]) == held >= 6
    first = [training.candidate.key for training in result.rungs[0]]
    assert first[-held:] == proposed[0]
    assert set(first[:-held]) == rules | planned
    assert set(proposed[0]) & set(drawn[16:])
    assert len(proposed) >= 2  # in the last rung there may be too few places to give one away
    # Only who is trained is timed, and once.
    foreseen = {key for keys in proposed for key in keys}
    assert sorted(timed) == sorted(rules | set(drawn[:8]) | foreseen)
    for keys, rung in zip(proposed[1:], result.rungs[1:], strict=False):
        assert {t.candidate.key for t in rung[-len(keys) :]} == set(keys)
        assert len({t.candidate.key for t in rung}) == len(rung)


@pytest.mark.slow
def test_a_network_that_cannot_be_timed_is_left_out_with_its_cause(world, memory):
    one, study = world(), memory()
    bad = {one.candidates[0].key, one.candidates[7].key}

    def time(candidate):
        if candidate.key in bad:
            raise TrainingError("a network must tell images apart", received="the same scores for all")
        return world.time(one, candidate)

    one.time = time
    result = run(one, study)
    assert set(result.dropped) == bad
    assert "tell images apart" in result.dropped[one.candidates[0].key]
    assert not bad & {training.candidate.key for rung in result.rungs for training in rung}
    again = world()
    assert run(again, study).to_dict() == result.to_dict()
    assert again.calls == 0
    one.time = lambda candidate: time(one.candidates[0])
    with pytest.raises(TrainingError, match="tell images apart"):
        run(one, memory())


@pytest.mark.slow
@pytest.mark.parametrize("hours", [4, 10, 11, 12])
def test_finals_are_paired_on_fresh_seeds_and_the_locked_test(world, memory, hours):
    one = world()
    result = run(one, memory(), hours * HOURS, seed=7)
    seeds = {c.key: {t.work.seed for t in result.finals if t.candidate == c} for c in result.finalists}
    assert len(set(map(frozenset, seeds.values()))) == 1
    assert len(next(iter(seeds.values()))) >= 3
    assert {t.work.seed for rung in result.rungs for t in rung} == {7}
    assert 7 not in next(iter(seeds.values()))
    assert all(t.work.final and t.outcome.total == one.load.test for t in result.finals)
    assert len({t.work.images for t in result.finals}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [150.0, 600.0, 1 * HOURS, 4 * HOURS])
@pytest.mark.parametrize("slowdown", [0.7, 1.0, 1.5, 2.0])
def test_deadline_is_obeyed_and_the_time_is_used(world, memory, seconds, slowdown):
    one = world(slowdown=slowdown, seed=3)
    result = run(one, memory(), seconds)
    assert 0.75 * seconds <= one.now <= 1.02 * seconds
    assert result.finals
    assert result.stopped == "time"


@pytest.mark.parametrize("slowdown", [2.0, 3.0, 4.0])
def test_every_rung_is_longer_than_the_one_before_even_on_a_machine_that_slows_down(world, memory, slowdown):
    result = run(world(slowdown=slowdown, seed=3), memory())
    lengths = [rung[0].work.images for rung in result.rungs]
    assert lengths == sorted(set(lengths))


def test_a_deadline_that_has_passed_still_gives_one_final(world, memory):
    one = world()
    result = run(one, memory(), -1.0)
    assert len(result.finals) == 1
    assert one.now < 60


def test_too_little_time_is_refused_with_what_is_missing_and_with_that_it_goes_on(world, memory):
    one, study, policy = world(), memory(), Policy(hopeless=0.2)
    with pytest.raises(TooShort, match=r"see .* images, of 2\.500k that say something") as caught:
        run(one, study, seconds=20.0, policy=policy)
    assert one.works == []
    timed = one.calls
    again = world()
    found = run(again, study, seconds=20.0 + caught.value.missing, policy=policy)
    assert again.calls == len(again.works)
    assert timed > 0
    assert not any("too short" in note for note in found.plan.notes)
    with pytest.raises(TooShort):
        run(world(), memory(), seconds=20.0 + 0.05 * caught.value.missing, policy=policy)


def test_unlimited_time_ends_with_the_last_seed(world, memory):
    one = world(draws=2)
    result = run(one, memory(), 1000 * HOURS, policy=Policy(max_seeds=5))
    assert result.stopped == "seeds"
    assert len(result.finals) == 5 * len(result.finalists)
    assert one.now < 200 * HOURS
    assert max(t.work.images for t in result.finals) == 100 * one.load.train


@pytest.mark.slow
@pytest.mark.parametrize("draws", [0, 8])
def test_a_race_stopped_anywhere_goes_on_without_repeating_anything(world, memory, draws):
    whole = world(draws=draws)
    expected = run(whole, memory())
    for stop in range(whole.calls):
        study = memory()
        first, second = world(draws=draws, stop_at=stop), world(draws=draws)
        with pytest.raises(KeyboardInterrupt):
            run(first, study)
        assert run(second, study).to_dict() == expected.to_dict()
        # Memory.record refuses a second outcome of the same work, so this is the number of different trainings.
        assert len(first.works) + len(second.works) == len(whole.works)


@pytest.mark.slow
def test_resume_from_a_journal_on_disk(world, tmp_path):
    whole = world(draws=4)
    expected = run(whole, Study(tmp_path / "whole", {"data": "a"}))
    first, second, third = world(draws=4, stop_at=20), world(draws=4), world(draws=4)
    with pytest.raises(KeyboardInterrupt):
        run(first, Study(tmp_path / "cut", {"data": "a"}))
    assert run(second, Study(tmp_path / "cut", {"data": "a"})) == expected
    assert len(first.works) + len(second.works) == len(whole.works)
    assert run(third, Study(tmp_path / "cut", {"data": "a"})) == expected
    assert third.calls == 0


def test_more_time_on_resume_adds_seeds_and_keeps_what_was_done(world, memory):
    study = memory()
    short = run(world(), study)
    one = world(load=dataclasses.replace(world().load, setup=0.3))  # measured anew, a little different
    longer = run(one, study, 8 * HOURS, policy=Policy(rungs=2))
    assert longer.rungs == short.rungs
    assert longer.finals[: len(short.finals)] == short.finals
    assert len(longer.finals) == len(short.finals) + len(one.works) > len(short.finals)


def test_failed_networks_are_kept_with_their_cause_and_never_chosen(world, memory):
    healthy = run(world(), memory())
    bad = {healthy.finalists[0].key}
    result = run(world(broken=lambda work: work.candidate.key in bad), memory())
    causes = [t.outcome.failure for t in result.rungs[0] if t.candidate.key in bad]
    assert causes == ["loss is not a number"]
    assert not any(t.candidate.key in bad for t in (*result.rungs[1], *result.rungs[2], *result.finals))


@pytest.mark.slow
def test_a_finalist_that_fails_with_every_seed_drops_out(world, memory):
    bad = run(world(), memory(), 12 * HOURS).finalists[0]
    result = run(world(broken=lambda work: work.final and work.candidate == bad), memory(), 12 * HOURS)
    assert len({t.work.seed for t in result.finals}) > 3
    tried = [t for t in result.finals if t.candidate == bad]
    assert len(tried) == 3
    assert bad not in result.finalists
    assert judge(result.finals).chosen.candidate != bad


def test_when_all_finalists_fail_the_next_ones_are_tried(world, memory):
    bad = {candidate.key for candidate in run(world(), memory()).finalists}
    result = run(world(broken=lambda work: work.final and work.candidate.key in bad), memory())
    assert result.finalists
    assert not bad & {candidate.key for candidate in result.finalists}


def test_when_nothing_trains_the_cause_is_told(world, memory):
    with pytest.raises(TrainingError, match="loss is not a number"):
        run(world(broken=lambda work: True), memory())


def test_a_network_made_by_two_rules_is_trained_once(world, memory):
    one = world()
    one.candidates.append(one.candidates[0])
    result = run(one, memory())
    assert len(result.rungs[0]) == len(one.candidates) - 1


def test_promote_keeps_the_best_the_strata_and_the_rule(candidate):
    values = [("draw:0", "width", 0.10 + 0.02 * n) for n in range(6)]
    values += [("draw:6", "depth", 0.9), ("rule:dwr", "width", 0.8), ("rule:regnet", "width", 0.85)]
    values += [("draw:9", "resolution", math.inf), ("draw:10", "depth", 0.95)]
    going = promote(losses(candidate, values), 2)
    assert [one.design.stage[0].width - 8 for one in going] == [0, 1, 7, 6]


def test_promote_keeps_the_best_rule_also_where_another_is_expected_to_be_better(candidate):
    values = [("draw:0", "width", 0.1), ("rule:dwr", "width", 0.8), ("rule:regnet", "width", 0.9)]
    done = losses(candidate, [*values, ("rule:uniform", "width", 0.95)])
    expected = {one.candidate.key: loss for one, loss in zip(done, (0.1, 0.5, 0.3, 0.6), strict=True)}
    assert [one.origin for one in promote(done, 1, expected)] == ["draw:0", "rule:regnet", "rule:dwr"]


def test_the_standing_puts_later_rungs_first_and_leaves_out_what_ever_failed(candidate):
    first = losses(candidate, [("draw:0", "depth", 0.1 * n) for n in range(1, 5)])
    second = losses(candidate, [("draw:0", "depth", loss) for loss in (0.9, 0.8, math.inf)])
    assert stand([first, second]) == tuple(first[n].candidate for n in (1, 0, 3))


def test_promote_spares_ties_but_not_a_crowd(candidate):
    values = [("draw:0", "width", 0.500 + 0.001 * n) for n in range(20)]
    assert len(promote(losses(candidate, values), 8)) == 10
    values = [("draw:0", "width", 0.5 + 0.1 * n) for n in range(20)]
    assert len(promote(losses(candidate, values), 8)) == 8
    assert promote([], 3) == ()


def test_events_tell_the_whole_story(world, memory):
    events = []
    result = run(world(), memory(), emit=lambda name, fields: events.append((name, fields)))
    names = [name for name, _ in events]
    done = [fields for name, fields in events if name == "training"]
    assert names[0] == "plan"
    assert names[-1] == "stop"
    assert [fields["outcome"] for fields in done] == [
        t.outcome.to_dict() for t in [*(t for rung in result.rungs for t in rung), *result.finals]
    ]
    assert [fields["tau"] is None for name, fields in events if name == "ranking"] == [True, False, False]


def settler(one, calls):
    """Every rule is made a little cheaper at the last moment, everything else is timed and stays."""

    def settle(field):
        calls.append([candidate.key for candidate in field])
        return [dataclasses.replace(c, seconds=0.5) if not c.rule else smaller(one, c) for c in field]

    return settle


def smaller(one, candidate):
    other = make_candidate(500, candidate.origin, candidate.stratum)
    replaced = dataclasses.replace(other, replaces=candidate.key, seconds=0.9)
    one.end[other.key], one.paces[other.key] = one.end[candidate.key], one.paces[candidate.key]
    return replaced


@pytest.mark.slow
def test_who_is_replaced_before_the_finals_leaves_its_place_to_the_other(world, memory):
    one, calls = world(), []
    result = run(one, memory(), settle=settler(one, calls))
    plain = run(world(), memory())
    (asked,) = calls
    assert set(asked) == {candidate.key for candidate in plain.finalists}
    entered = {training.candidate for training in result.finals}
    replaced = [candidate for candidate in entered if candidate.replaces]
    assert len(replaced) == 1
    assert replaced[0].replaces == plain.best_rule.key
    assert result.best_rule == replaced[0]
    assert {one.replaces or one.key for one in entered} == set(asked)
    assert {candidate.key for candidate in result.finalists} == {candidate.key for candidate in entered}
    assert all(candidate.seconds is not None for candidate in result.finalists)
    assert replaced[0].replaces not in {training.candidate.key for training in result.finals}


def test_a_resumed_race_keeps_who_was_settled_and_does_not_ask_again(world, memory):
    study, calls = memory(), []
    first = world()
    result = run(first, study, settle=settler(first, calls))
    again = world()
    resumed = run(again, study, settle=lambda field: pytest.fail("asked again"))
    assert resumed.to_dict() == result.to_dict()
    assert again.works == []


@pytest.mark.parametrize("seconds", [120.0, 600.0])
def test_a_finalist_that_costs_neither_seed_nor_length_is_not_left_out(world, memory, seconds):
    """Three networks go to the finals at once; one of them was left out wherever there was time for one seed."""
    one = world(draws=0)
    one.candidates = one.candidates[:3]
    result = run(one, memory(), seconds)
    assert {training.candidate.key for training in result.finals} == {candidate.key for candidate in one.candidates}
    assert one.now >= 0.75 * seconds


@pytest.mark.parametrize(("rules", "draws", "seconds"), [(5, 0, HOURS), (5, 4, HOURS), (5, 8, HOURS), (2, 12, 600.0)])
def test_every_network_of_the_first_rung_was_timed_before(world, memory, rules, draws, seconds):
    """Also where so few are trained that no place is given away."""
    one, timed, events = world(draws=draws), [], []
    one.candidates = one.candidates[5 - rules :]
    world_time = one.time
    one.time = lambda candidate: timed.append(candidate.key) or world_time(candidate)

    def hear(event, fields):
        if event == "training":
            assert fields["candidate"] in timed
        events.append(event)

    plan = run(one, memory(), seconds, emit=hear).plan
    assert "training" in events
    if rules == 2:  # fewer are planned than were thought of, so no place is given away and more are trained at once
        assert len(plan.entrants) == 12


@pytest.mark.parametrize("change", [{"min_epochs": 2.0}, {"spread": None}])
def test_a_race_of_another_version_is_refused(world, memory, change):
    study = memory()
    with pytest.raises(KeyboardInterrupt):
        run(world(stop_at=8), study, HOURS)
    (name,) = [name for name in study.notes if name.endswith("/policy")]
    policy = json.loads(study.notes[name]) | change
    study.notes[name] = json.dumps({key: value for key, value in policy.items() if value is not None})
    with pytest.raises(RunError, match="version of convsmith that began it"):
        run(world(), study, HOURS)
